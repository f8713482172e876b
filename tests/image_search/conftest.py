"""The file server with the scenes, as the service's own tests have it."""

from tests.serve.conftest import pictures, scenes

__all__ = ["pictures", "scenes"]
