"""Ray cluster of a bulk run: its workers, one of which stands in for each that is lost."""

import asyncio
import os
import socket
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from api.settings import ENV_PREFIX, Settings
from cli.bulk.hosts import HostSlots, LentHostLimits
from cli.bulk.plan import BulkError, Plan, State

if TYPE_CHECKING:
    from cli.bulk.worker import ShardWorker

LOCAL = "local"
_OBJECTS_BYTES = 80 << 20
"""For Ray's own objects, of which a run has none: files go by the folder of its state."""


class LostError(Exception):
    """A worker is gone, or its machine: what it was at has to be done again."""


@dataclass(frozen=True)
class Size:
    """How many workers there are, and what each has for itself."""

    workers: int
    cpus: float
    gpus: float


class Lent:
    """The slots of all workers, as one worker reaches them: `cli.bulk.hosts.Lender`."""

    def __init__(self, slots: Any, holder: str) -> None:
        self._slots, self._holder = slots, holder

    async def take(self, host: Hashable) -> None:
        """Wait for a slot."""
        await self._slots.take.remote(self._holder, host)

    def give(self, host: Hashable) -> None:
        """Return a slot, without a wait."""
        self._slots.give.remote(self._holder, host)


class RayWorker:
    """A `ShardWorker` as an actor; its models are loaded before it says that it is ready."""

    def __init__(self, environment: dict[str, str], folder: str, slots: Any, holder: str) -> None:
        os.environ.update(environment)
        self._state = State(Path(folder))
        self._lender = None if slots is None else Lent(slots, holder)
        self._worker: ShardWorker | None = None

    async def ready(self) -> dict[str, Any]:
        """Load the models; tells what they are, and where this is."""
        from cli.bulk.worker import ShardWorker  # noqa: PLC0415 - by the settings given just now

        settings = Settings.from_environment()
        if self._worker is None:
            hosts = None
            if self._lender is not None:
                places = settings.api.download_threads
                hosts = LentHostLimits(places, per_host_of(settings), self._lender)
            self._worker = ShardWorker(settings, hosts)
        where = {"host": socket.gethostname(), "pid": os.getpid()}
        return {"model": self._worker.model, "detector": self._worker.detector, **where}

    async def embed(self, plan: dict[str, Any], shard: int) -> dict[str, Any]:
        """Embed a shard: `ShardWorker.embed`; a mark that is there already is the answer."""
        if (mark := self._state.mark(shard, "staged")) is not None:
            return mark
        if not self._state.rows_file(shard).exists():
            raise BulkError(
                f"{socket.gethostname()} does not see {self._state.folder}: --state must be a"
                " folder that all machines share"
            )
        assert self._worker is not None  # noqa: S101 - `ready` goes before
        return await self._worker.embed(self._state, Plan.from_json(plan), shard)

    async def done(self) -> int:
        """Rows since it began."""
        return 0 if self._worker is None else self._worker.done


def per_host_of(settings: Settings) -> int:
    """Downloads of one host at once, in all: as many as one service would have."""
    api = settings.api
    return api.downloads_per_host or (api.download_threads + 1) // 2


class Cluster:
    """The cluster, joined until `close`.

    Args:
        address: `local` for one of this process's own, else `host:port` or `auto`.
        state: of the run.
        settings: that the workers get.

    Raises:
        BulkError: there is none at the address.
    """

    def __init__(self, address: str, state: State, settings: Settings) -> None:
        self._folder = str(state.folder)
        self._per_host = per_host_of(settings)
        self._slots: Any = None
        self.workers = 0
        _join(address)

    def sized(self, workers: int | None, cpus: float | None, gpus: float | None) -> Size:
        """What is given, or else a worker for each GPU, and without any one for each machine."""
        there = ray.cluster_resources()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cards = int(there.get("GPU", 0)) if gpus is None else 0
        count = workers or cards or len(nodes)
        on_each = -(-count // len(nodes))
        own = cpus or max(1.0, min(node.get("CPU", 1.0) for node in nodes) // on_each)
        return Size(count, own, gpus if gpus is not None else float(bool(cards)))

    def share_hosts(self) -> None:
        """Hold the limits of hosts over all workers, on this machine: it ends with the run.

        Should it be killed, it begins anew and is asked again by those who wait; it knows nothing
        of the slots that are out, so that a host may have twice as many downloads until these end.
        """
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        kind = ray.remote(HostSlots).options(
            num_cpus=0,
            scheduling_strategy=here,
            max_concurrency=10_000,
            max_restarts=-1,
            max_task_retries=-1,
        )
        self._slots = kind.remote(self._per_host)

    def worker(self, size: Size) -> "Worker":
        """A worker more."""
        self.workers += 1
        name = f"worker-{self.workers}"
        kind = ray.remote(RayWorker).options(
            num_cpus=size.cpus, num_gpus=size.gpus, scheduling_strategy="SPREAD"
        )
        environment = {k: v for k, v in os.environ.items() if k.startswith(ENV_PREFIX)}
        return Worker(kind.remote(environment, self._folder, self._slots, name), self._slots, name)

    def close(self) -> None:
        """End what is left of the workers."""
        ray.shutdown()


class Worker:
    """One worker, as the run sees it."""

    def __init__(self, actor: Any, slots: Any, name: str) -> None:
        self._actor, self._slots, self._name = actor, slots, name

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of `RayWorker`.

        Raises:
            LostError: it is gone.
            BulkError: it cannot do that, as none can.
        """
        try:
            return await getattr(self._actor, method).remote(*arguments)
        except RayTaskError as error:
            raise BulkError(_one_line(error.cause)) from error
        except RayError as error:
            if isinstance(cause := getattr(error, "cause", None), RayTaskError):
                raise BulkError(_one_line(cause.cause)) from error
            raise LostError(_one_line(error)) from error

    async def end(self) -> None:
        """End it, if it is not gone; its slots are free again."""
        await asyncio.to_thread(ray.kill, self._actor)
        if self._slots is not None:
            await self._slots.gone.remote(self._name)


@contextmanager
def answer_alone() -> Iterator[None]:
    """Keep standard output for the answer: what Ray prints of lost nodes goes to standard error."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(own, 1)
        os.close(own)


def _join(address: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        options |= {"object_store_memory": _OBJECTS_BYTES}
    elif "://" in address:
        raise BulkError(f"--ray {address}: give HOST:PORT of the cluster's head, auto, or local")
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BulkError(f"--ray {address}: there is no cluster: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
