"""Files beside the table, their lookup, and the sweep of those that no row names."""
