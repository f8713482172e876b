"""Writing: group commit, and what a commit consists of."""
