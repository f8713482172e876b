"""Vectors: the rows nearest to one, and those that are nearly the same picture."""
