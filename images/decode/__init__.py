"""Bytes to pixels and back: decoding, resizing, drawing, digests."""
