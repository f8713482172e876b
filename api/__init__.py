"""What stands between HTTP and the rooms: requests read and checked, errors put into answers."""
