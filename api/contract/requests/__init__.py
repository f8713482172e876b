"""The requests of the routes, as BentoML, its clients and the OpenAPI page see them."""
