"""Lists: sorted by metadata keys or newest first, page by page, and the best of each group."""
