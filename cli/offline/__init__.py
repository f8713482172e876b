"""Work on a table without a service: reembed, check, export."""
