"""The table in an object store: a real S3 server on this machine, and what is promised there."""
