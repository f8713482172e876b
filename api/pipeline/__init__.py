"""From a request to pixels, vectors and boxes: downloads, decoding, calls of the model services."""
