"""The commands that work on a table without a service."""
