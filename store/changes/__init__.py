"""The change log beside the table, and what undoing one key's changes takes."""
