"""Downloads, the bucket and the invocation of deliver: each call may fail, or be the last one."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from arena_exports.domain.errors import (
    BucketError,
    MessagingError,
    ObjectConflictError,
    RequestNotCompletedError,
)
from infra.simulator import control
from tests.simulation.download_faults import download_fault
from tests.support.fakes import FakeClock, SimulatedTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from arena_exports.ports import Download, HttpRequest, ObjectBody, Upload
    from tests.simulation.cloud import Outside
    from tests.simulation.scheduler import Scheduler
    from tests.simulation.simulation import Simulation
    from tests.support.fake_bucket import InMemoryBucket

T = TypeVar("T")


class SimBucket:
    """The bucket, behind an S3 that refuses, conflicts and loses answers."""

    def __init__(self, inner: InMemoryBucket, outside: Outside) -> None:
        self.name, self.prefix = inner.name, inner.prefix
        self._inner = inner
        self._outside = outside

    def _do(self, effect: Callable[[], T]) -> T:
        def guarded() -> T:
            faults = self._outside.fault_rates
            if faults.occurs("bucket_refused"):
                raise BucketError("AccessDenied")
            if faults.occurs("bucket_lost"):
                if faults.random.random() < 0.5:
                    effect()
                raise BucketError("ReadTimeoutError")
            return effect()

        return self._outside.call(guarded)

    def _create(self, effect: Callable[[], T], upload: Upload | None = None) -> T:
        """Make a call of which a lost answer means that the bucket decides."""

        def guarded() -> T:
            faults = self._outside.fault_rates
            if faults.occurs("bucket_refused"):
                raise BucketError("SlowDown")
            if faults.occurs("bucket_conflict"):
                if upload and faults.random.random() < 0.5:
                    self._inner.abort(upload)
                raise ObjectConflictError("OperationAborted, PreconditionFailed or NoSuchUpload")
            if faults.occurs("bucket_lost"):
                if faults.random.random() < 0.5:
                    effect()
                raise ObjectConflictError("ReadTimeoutError")
            return effect()

        return self._outside.call(guarded)

    def keys(self, folder: str) -> list[str]:
        return self._do(lambda: self._inner.keys(folder))

    def put(self, key: str, body: bytes | bytearray, content_type: str) -> str | None:
        return self._create(lambda: self._inner.put(key, body, content_type))

    def begin(self, key: str, content_type: str) -> Upload:
        return self._do(lambda: self._inner.begin(key, content_type))

    def put_part(
        self, upload: Upload, number: int, body: bytes | bytearray
    ) -> Mapping[str, object]:
        return self._create(lambda: self._inner.put_part(upload, number, body), upload)

    def complete(
        self, upload: Upload, parts: Sequence[Mapping[str, object]], size: int
    ) -> str | None:
        return self._create(lambda: self._inner.complete(upload, parts, size), upload)

    def abort(self, upload: Upload) -> None:
        try:
            self._create(lambda: self._inner.abort(upload))
        except ObjectConflictError:
            return

    def abort_all(self, folder: str) -> None:
        self._do(lambda: self._inner.abort_all(folder))

    @contextmanager
    def read(self, key: str) -> Iterator[ObjectBody]:
        with ExitStack() as stack:
            body = self._do(lambda: stack.enter_context(self._inner.read(key)))
            yield _SimObjectBody(body, self._do)


class _SimObjectBody:
    """The body of an object, which may break off."""

    def __init__(self, inner: ObjectBody, do: Callable[[Callable[[], bytes]], bytes]) -> None:
        self.version_id = inner.version_id
        self._inner = inner
        self._do = do

    def read(self, size: int) -> bytes:
        return self._do(lambda: self._inner.read(size))


class _PassingClock(FakeClock):
    """The time that a body takes on its way."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self.sleep = scheduler.pause  # type: ignore[method-assign]


class SimDownloads:
    """Downloads from Arena; the simulator makes most of their faults."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._inner = SimulatedTransport(simulation.arena, _PassingClock(simulation.scheduler))

    @contextmanager
    def open(self, request: HttpRequest, headers: Mapping[str, str]) -> Iterator[Download]:
        simulation = self._simulation
        if simulation.fault_rates.occurs("download"):
            file = simulation.arena.exports.any_file(request.path.split("/")[-2])
            assert file is not None
            fault = download_fault(simulation.fault_rates.random, file)
            control.add_faults(simulation.arena, {"path": "*/content", **fault})
        with ExitStack() as stack:
            resumes = "Range" in headers
            stack.enter_context(simulation.delivery.downloading(request, resumes=resumes))
            inner = simulation.outside.call(lambda: self._begin(stack, request, headers))
            yield _SimDownload(inner, simulation.outside)

    def _begin(
        self, stack: ExitStack, request: HttpRequest, headers: Mapping[str, str]
    ) -> Download:
        if self._simulation.fault_rates.occurs("arena_drop"):
            raise RequestNotCompletedError("dropped before")
        return stack.enter_context(self._inner.open(request, headers))


class _SimDownload:
    """A download; other tasks run between the pieces."""

    def __init__(self, inner: Download, outside: Outside) -> None:
        self.status, self.headers = inner.status, inner.headers
        self._inner = inner
        self._outside = outside

    def read(self, size: int) -> bytes:
        return self._outside.call(lambda: self._inner.read(size))


class SimDeliverFunction:
    """Deliver, invoked asynchronously: at least once, or refused, or lost."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def start(self, settled_before: float) -> None:
        faults, payload = self._simulation.fault_rates, {"settledBefore": settled_before}

        def guarded() -> None:
            if faults.occurs("deliver_lost"):
                if faults.random.random() < 0.5:
                    raise MessagingError("not accepted")
                return
            self._simulation.invoke("deliver", payload)
            if faults.occurs("deliver_twice"):
                self._simulation.invoke("deliver", payload)

        self._simulation.outside.call(guarded)
