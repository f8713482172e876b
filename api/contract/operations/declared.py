"""All operations that are declared, and by method and path what a key must be allowed."""

from api.access.caller import Scope
from api.contract.operations.images import OF_IMAGES
from api.contract.operations.pictures import OF_PICTURES
from api.contract.operations.table import OF_TABLE

OPERATIONS = (*OF_PICTURES, *OF_IMAGES, *OF_TABLE)

_OTHER_PATHS = ("/", "/docs", "/heartbeat", "/docs.json", "/schema.json", "/healthz", "/metrics")

SCOPES: dict[tuple[str, str], Scope] = {
    **{("GET", path): Scope.READ for path in _OTHER_PATHS},
    **{(one.method.upper(), one.path): one.scope for one in OPERATIONS},
}
"""By method and path, what a key must be allowed. A test holds it and the routes together."""
