"""How far a request travels: the calls and files of an add, a search and a detection."""
