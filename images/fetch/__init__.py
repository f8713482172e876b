"""URL to bytes: the guarded downloader."""
