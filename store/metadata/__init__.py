"""Metadata keys as typed columns, and filters over them."""
