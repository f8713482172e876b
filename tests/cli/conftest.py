"""The real service and file server, as the service's own tests have them."""

from tests.serve.conftest import pictures, scenes, service

__all__ = ["pictures", "scenes", "service"]
