"""A body read and checked: JSON, forms, pictures."""
