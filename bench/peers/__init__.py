"""The service beside what a user would otherwise take; README.md says what is compared."""
