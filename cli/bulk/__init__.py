"""`image-search bulk`: very many images into an index, embedded by a Ray cluster."""
