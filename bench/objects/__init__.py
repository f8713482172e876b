"""Benchmarks of objects: how well they are found, and what they cost."""
