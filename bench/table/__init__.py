"""Speed, recall and size of the table."""
