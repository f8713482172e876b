"""Files beside the table: thumbnails and originals."""
