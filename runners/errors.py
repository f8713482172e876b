"""What can go wrong with a model.

RunnerError
├── DeviceError               the device asked for is not there
├── UnknownModelError         no such architecture, published tag or ultralytics name
├── UnsupportedModelError     a real model, but not one this service can use
├── WeightsError
│   ├── WeightsMissingError   no readable file at the given path
│   ├── WeightsDownloadError  published weights could not be downloaded
│   ├── WeightsHashError      the file is not the one that was promised
│   └── WeightsInvalidError   not a checkpoint, an unsafe one, or one of another architecture
└── ModelOutputError          the model computed something that is no embedding

All but the last happen while a model is loaded, before any request is served: their one line is
for whoever starts the service and repeats the setting as it was given.
"""


class RunnerError(Exception):
    """Base of all errors of this room.

    Attributes:
        code: Machine-readable name of the kind of error.
        detail: What the log should hold besides the message; may name internals.
    """

    code = "model_error"

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class DeviceError(RunnerError):
    """The device that was asked for does not exist here."""

    code = "device_unavailable"


class UnknownModelError(RunnerError):
    """No architecture, published tag or ultralytics model has this name."""

    code = "unknown_model"


class UnsupportedModelError(RunnerError):
    """The model exists but cannot do what this service needs."""

    code = "unsupported_model"


class WeightsError(RunnerError):
    """Base of what goes wrong with a file of weights."""

    code = "weights_error"


class WeightsMissingError(WeightsError):
    """There is no readable file at the path that was given."""

    code = "weights_missing"


class WeightsDownloadError(WeightsError):
    """Published weights could not be downloaded."""

    code = "weights_download_failed"


class WeightsHashError(WeightsError):
    """A file of weights has another SHA-256 than the settings ask for."""

    code = "weights_hash_mismatch"


class WeightsInvalidError(WeightsError):
    """A file is no checkpoint, holds more than weights, or belongs to another architecture."""

    code = "weights_invalid"


class ModelOutputError(RunnerError):
    """A model's output is not finite or not of unit length."""

    code = "model_output_invalid"
