"""What the calls return."""
