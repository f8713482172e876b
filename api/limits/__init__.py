"""Limits of a worker under load: requests in flight, memory of pictures and answers, senders."""
