"""Drawn scenes: pictures with known shapes, captions and boxes."""
