"""An object store: its bucket, and what a store must be able to do."""
