"""ASGI middleware, in the order of `stack`: what happens before a route and after it."""
