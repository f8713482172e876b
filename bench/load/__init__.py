"""The load: requests, the HTTP client and generator that send them, and the file server."""
