"""A table on a local disk: locks, sync, free space."""
