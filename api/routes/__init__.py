"""The routes: what each does with a request that has been read."""
