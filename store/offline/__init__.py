"""What works on a table beside the service or without it: repair, export, re-embedding."""
