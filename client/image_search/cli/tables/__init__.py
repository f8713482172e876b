"""Tables of images as files: CSV, Parquet and JSON Lines."""
