"""The schema of a table of images, which names the model that makes its vectors."""

import pyarrow as pa

from store.errors import ModelMismatchError, StoreOpenError
from store.schemas import ModelIdentity

OPTIONAL = tuple(pa.field(name, pa.string()) for name in ("text", "pixels", "file"))
"""Columns that a table of an earlier release may lack."""

_MODEL, _PRETRAINED, _DIM = b"image_search:model", b"image_search:pretrained", b"image_search:dim"
# Declares the key that merge_insert matches on, by the same commit that makes the table: without
# it, racing merges of one new id make two rows.
_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}


def table_schema(identity: ModelIdentity) -> pa.Schema:
    """The schema of a new table, without metadata columns."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("url", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), identity.dim), nullable=False),
            pa.field("created_at", pa.timestamp("us", "UTC"), nullable=False),
            *OPTIONAL,
        ],
        metadata={
            _MODEL: identity.model.encode(),
            _PRETRAINED: identity.pretrained.encode(),
            _DIM: str(identity.dim).encode(),
        },
    )


def made_by(schema: pa.Schema) -> ModelIdentity:
    """The model that a table's schema names.

    Raises:
        StoreOpenError: the table was made by another program.
    """
    said = schema.metadata or {}
    if not {_MODEL, _PRETRAINED, _DIM} <= said.keys():
        raise StoreOpenError("the index does not say which model made it: it is not this program's")
    return ModelIdentity(said[_MODEL].decode(), said[_PRETRAINED].decode(), int(said[_DIM]))


def mismatch(maker: ModelIdentity, model: str) -> ModelMismatchError:
    """The error for a table whose vectors another model made; it names both."""
    return ModelMismatchError(
        f"the index was made with the model {maker} and cannot be used with {model}:"
        " use that model, set IMAGE_SEARCH_STORE_URI to another place,"
        " or make the index anew with `image-search reembed`"
    )
