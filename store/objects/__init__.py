"""The objects in the images: their vectors in a table of their own, counts, and the sweep."""
