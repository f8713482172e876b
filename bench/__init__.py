"""Benchmarks: one command per question, each with limits; docs/benchmarks.md has the figures."""
