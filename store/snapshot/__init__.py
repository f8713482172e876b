"""The table at one version, and what of it is kept in memory."""
