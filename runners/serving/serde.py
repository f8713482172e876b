"""BentoML's own routes in the wire format: a media type beside its JSON and its pickle (1.4.39).

So calls from other hosts come to the same methods and wait in the same batch queues.
"""

from typing import Any

from _bentoml_impl.serde import ALL_SERDE, GenericSerde, Payload, Serde
from bentoml.exceptions import InvalidArgument

from runners.schemas import Serving
from runners.serving.wire import FINGERPRINT_HEADER, MEDIA_TYPE, WireError, decode, encode


class TensorSerde(GenericSerde, Serde):
    """Reads and writes the batches of a batching method; `describe` alone speaks JSON."""

    media_type = MEDIA_TYPE
    fingerprint = ""

    def deserialize_model(self, payload: Payload, cls: Any) -> Any:
        """The input of a method of one parameter.

        Raises:
            InvalidArgument: If the body holds no batch, which is answered with 400.
        """
        try:
            batch = decode(b"".join(payload.data))
        except WireError as error:
            raise InvalidArgument(str(error)) from error
        [parameter] = cls.model_fields
        return cls.model_validate({parameter: batch})

    def serialize_model(self, model: Any) -> Payload:
        """The output of a method, and which model made it."""
        headers = {"content-type": MEDIA_TYPE, FINGERPRINT_HEADER: self.fingerprint}
        return Payload((encode(model.model_dump()),), headers)


def announce(serving: Serving) -> None:
    """Name the model that this process has loaded in each answer from now on."""
    TensorSerde.fingerprint = serving.fingerprint


ALL_SERDE[MEDIA_TYPE] = TensorSerde
