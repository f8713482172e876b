"""Reading: nearest images, full text, newest, ranking, facets."""
