"""What people send with their pictures, over HTTP: metadata, keys, ids, and searches by them."""
