"""What can go wrong with a model.

RunnerError
├── DeviceError               the GPU that the settings name does not exist
├── UnknownModelError         no such architecture, published tag or ultralytics name
├── UnsupportedModelError     a real model, but not one that this service can use
├── WeightsError
│   ├── WeightsMissingError   no readable file at the given path
│   ├── WeightsDownloadError  published weights could not be downloaded
│   ├── WeightsHashError      the file has another SHA-256 than it must have
│   └── WeightsInvalidError   not a checkpoint, an unsafe one, or one of another architecture
└── ModelOutputError          the model's output is not of finite, unit length

All but the last happen while a model is loaded, before any request is served: their one line is
for whoever starts the service and repeats the setting as it was given.
"""


class RunnerError(Exception):
    """Base of all errors of models.

    Attributes:
        detail: What the log should hold besides the message; may name internals.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class DeviceError(RunnerError):
    """The GPU that the settings name does not exist here."""


class UnknownModelError(RunnerError):
    """No architecture, published tag or ultralytics model has this name."""


class UnsupportedModelError(RunnerError):
    """The model exists but cannot do what this service needs."""


class WeightsError(RunnerError):
    """Base of what goes wrong with a file of weights."""


class WeightsMissingError(WeightsError):
    """There is no readable file at the path that was given."""


class WeightsDownloadError(WeightsError):
    """Published weights could not be downloaded."""


class WeightsHashError(WeightsError):
    """A file of weights has another SHA-256 than it must have."""


class WeightsInvalidError(WeightsError):
    """A file is no checkpoint, holds more than weights, or belongs to another architecture."""


class ModelOutputError(RunnerError):
    """A model's output is not of finite, unit length."""
