"""`image-search index`: many images into a running service, resumably."""
