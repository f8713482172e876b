"""What becomes of the work under too much load, faults and kills."""
