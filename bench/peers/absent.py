"""Peers that do not run here, and why, in a line each."""

ABSENT = {}
