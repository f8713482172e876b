"""Folder of converted models: one for each model, whole or not at all, for its owner alone.

A conversion is a folder of graphs with the trial that it must pass and a manifest that has the
SHA-256 of each file. It is written under another name and then renamed, so that a process that is
killed leaves nothing that looks finished; a file that was damaged later is found by its hash.
Beside it are verdicts, which runtime is used on which CPU, and why; and how far OpenVINO's results
may be from torch's in fp32, for each precision that the model was compared in.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runners.runtime.graph import save
from runners.weights.source import sha256_of

Arrays = dict[str, NDArray[Any]]
_MANIFEST, _TRIAL = "manifest.json", "trial.npz"
_UNFINISHED = ".unfinished-"
_LEFT_BEHIND_S = 3600.0
_MOST_ATTEMPTS = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """Which runtime a model has on one CPU.

    Attributes:
        runtime: the one.
        reason: why not the other, for the log; empty where torch is only faster.
        lasts: whether another load would come to the same.
    """

    runtime: Literal["torch", "openvino"]
    reason: str = ""
    lasts: bool = True


@dataclass(frozen=True)
class Converted:
    """What is made of a model, before it is kept.

    Attributes:
        graphs: OpenVINO's models, by name.
        facts: to use them with, as JSON.
        texts: files that go with them, by name.
    """

    graphs: Mapping[str, Any]
    facts: Mapping[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Conversion:
    """A model's graphs, and what must be known to use them without the model.

    Attributes:
        folder: of the graphs, `<name>.xml` and `<name>.bin`.
        facts: of the model, as JSON.
        inputs: of the trial, by name.
        expected: what torch computes of them in fp32, by the same names.
    """

    folder: Path
    facts: dict[str, Any]
    inputs: Arrays
    expected: Arrays

    def graph(self, name: str) -> Path:
        """Path of a saved graph."""
        return self.folder / f"{name}.xml"

    def text(self, name: str) -> str:
        """What is in a file that goes with the graphs."""
        return (self.folder / name).read_text()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.iterdir())


class Conversions:
    """What is kept of one model. Any number of processes may use it at the same time.

    Args:
        cache_dir: of all models.
        key: what the conversion depends on; other values have another folder.
        versions: of the packages that are installed, of those that make conversions. One that was
            made with another version is not found; a package that is not there has none.
    """

    def __init__(
        self, cache_dir: Path, key: Mapping[str, Any], versions: Mapping[str, str]
    ) -> None:
        self.folder = cache_dir / "openvino" / _digest(key)
        self._graphs = self.folder / "graphs"
        self.versions = versions

    def make_folder(self) -> None:
        """Make the folder if it is not there, and try to write in it.

        Raises:
            OSError: If that is not possible.
        """
        self.folder.parent.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.folder.parent, self.folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._sweep()
        tempfile.TemporaryFile(dir=self.folder).close()

    @property
    def is_locked(self) -> bool:
        """Whether there is a folder that this process must not change."""
        return self.folder.exists() and not os.access(self.folder, os.W_OK)

    def find(self) -> Conversion | None:
        """The conversion, if there is one, whole and as it was written."""
        try:
            manifest = json.loads((self._graphs / _MANIFEST).read_text())
            if any(manifest["versions"][name] != one for name, one in self.versions.items()):
                return None
            self._check(manifest["files"])
            with np.load(self._graphs / _TRIAL, allow_pickle=False) as trial:
                halves = _halves({name: trial[name] for name in trial.files})
            return Conversion(self._graphs, manifest["facts"], *halves)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("a converted model is damaged and made anew: %r", error)
            return None

    def _check(self, hashes: Mapping[str, str]) -> None:
        for name, digest in hashes.items():
            if sha256_of(self._graphs / name) != digest:
                raise ValueError(f"{name} has another SHA-256 than when it was written")

    def keep(self, made: Converted, inputs: Arrays, expected: Arrays) -> Conversion:
        """Keep a conversion in place of whatever is there.

        Args:
            made: of the model.
            inputs: of the trial.
            expected: results of the trial.

        Raises:
            Exception: If it cannot be written; OSError, or one of OpenVINO's.
        """
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))
        try:
            for name, graph in made.graphs.items():
                save(graph, unfinished / f"{name}.xml")
            for name, text in made.texts.items():
                (unfinished / name).write_text(text)
            np.savez(unfinished / _TRIAL, **_whole(inputs, expected))  # type: ignore[arg-type]
            files = {path.name: sha256_of(path) for path in unfinished.iterdir()}
            manifest = {"facts": dict(made.facts), "files": files, "versions": dict(self.versions)}
            (unfinished / _MANIFEST).write_text(json.dumps(manifest))
            self._replace(unfinished)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return Conversion(self._graphs, dict(made.facts), inputs, expected)

    def limits(self, precision: str) -> tuple[float, ...] | None:
        """How far results may be from torch's in fp32, by kind of difference, if that is known."""
        try:
            return tuple(json.loads(self._limits(precision).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def keep_limits(self, precision: str, limits: tuple[float, ...]) -> None:
        """Keep how far results may be, in a precision."""
        self._write(self._limits(precision), limits)

    def verdict(self, about: Mapping[str, Any]) -> Verdict | None:
        """The verdict on the runtime under some circumstances, if there is one."""
        try:
            values = json.loads(self._verdict(about).read_text())["verdict"]
            return Verdict(values["runtime"], values["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def decide(self, about: Mapping[str, Any], verdict: Verdict) -> None:
        """Keep a verdict."""
        self._write(self._verdict(about), {"verdict": asdict(verdict), "about": dict(about)})

    def begin(self) -> bool:
        """Note that a conversion begins; False if the last few did not come to an end.

        Converting takes more memory than either runtime: where it is killed for that, the next
        start is to come through.
        """
        count = _number(self._attempts)
        if count < _MOST_ATTEMPTS:
            self._attempts.write_text(str(count + 1))
        return count < _MOST_ATTEMPTS

    def end(self) -> None:
        """Note that it came to an end, whichever."""
        self._attempts.unlink(missing_ok=True)

    def _write(self, path: Path, value: Any) -> None:
        descriptor, unfinished = tempfile.mkstemp(prefix=_UNFINISHED, dir=self.folder)
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file)
        Path(unfinished).replace(path)

    def _limits(self, precision: str) -> Path:
        return self.folder / f"limits-{precision}.json"

    @property
    def _attempts(self) -> Path:
        return self.folder / "attempts"

    def _verdict(self, about: Mapping[str, Any]) -> Path:
        return self.folder / f"verdict-{_digest(about)}.json"

    def _replace(self, unfinished: Path) -> None:
        """Move a finished folder to its place; one that is there goes, also another process's."""
        old = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))
        try:
            if self._graphs.exists():
                self._graphs.rename(old / "graphs")
            unfinished.rename(self._graphs)
        finally:
            shutil.rmtree(old, ignore_errors=True)

    def _sweep(self) -> None:
        """Delete what killed processes have left."""
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            if time.time() - path.lstat().st_mtime > _LEFT_BEHIND_S:
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _whole(inputs: Arrays, expected: Arrays) -> Arrays:
    halves = {"in": inputs, "out": expected}
    return {f"{half}/{name}": each[name] for half, each in halves.items() for name in each}


def _halves(trial: Arrays) -> tuple[Arrays, Arrays]:
    """Inputs and results of a trial."""
    found: dict[str, Arrays] = {"in": {}, "out": {}}
    for name, array in trial.items():
        half, _, rest = name.partition("/")
        found[half][rest] = array
    return found["in"], found["out"]
