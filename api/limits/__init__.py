"""What bounds a service under load: requests in flight, hosts, memory, long responses."""
