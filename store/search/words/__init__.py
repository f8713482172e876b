"""Words: the rows that have those of a text, in any of their forms."""
