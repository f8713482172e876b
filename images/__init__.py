"""URL or bytes to pixels and back: no torch, no database."""
