"""An import whose picture host goes down twice, and whose service is killed once."""
