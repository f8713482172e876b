"""Comparisons of two checkouts, and of the service with other services."""
