"""Reading: nearest images, other rankings, near-duplicates, facets."""
