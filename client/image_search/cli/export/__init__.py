"""`image-search export`: the whole index in one Parquet file, which `index` takes back."""
