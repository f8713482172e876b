"""The table at one version, with a cache of its fragments in memory."""
