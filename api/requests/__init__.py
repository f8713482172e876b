"""Request parsing: content types, JSON, forms and pictures to checked request models."""
