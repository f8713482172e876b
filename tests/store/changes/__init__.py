"""The change log, and undoing one key's changes."""
