"""`image-search models`: published models beside each other."""
