"""Transfer: whole rows out of an index, page by page, and into one without its model."""
