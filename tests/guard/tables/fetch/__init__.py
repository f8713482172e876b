"""What a download meets: addresses, names, redirects, servers, TLS, URLs."""
