"""The demo: scenes drawn here, two small models trained on them, and what it shows of them."""
