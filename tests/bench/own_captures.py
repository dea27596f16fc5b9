"""A capture without Velero, as a VADP job's script takes it, against the bare LISTs and PUTs that it cannot do without.

The real API server and versitygw. The peer lists the same three kinds in pages of the same size and stores documents of
the same sizes, by as many threads; it makes nothing of what it reads, and reads nothing back. Both run in one process,
in turns, so that the start of an interpreter counts for neither.
"""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from tests.bench import crowds
from tests.bench.crowds import Crowd, Writer, collection
from tests.bench.table import Row
from tests.e2e.stack import Stack
from tests.emulator import machines
from velero_vmservice import app, logs
from velero_vmservice.settings.reading import BucketSettings, Settings
from velero_vmservice.vadp.capturing import WRITERS, CaptureRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

TARGET: Final = 1.3
_SPACE: Final = "crowd"
_BUCKET: Final = "captures"
_KINDS: Final = (crowds.VM, crowds.GROUP, crowds.SERVICE)


def measure(*, crowd: Crowd, rounds: int) -> list[Row]:
    """Capture the crowd and do the bare requests, in turns after one of each."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as directory, _stack(Path(directory), crowd) as stack:
        logs.configure("critical")
        writer, store = Writer(stack.cluster), stack.store.client()
        bucket = BucketSettings(name=_BUCKET, url=stack.store.url)
        plugin = app.connect(Settings(velero_namespace="velero", bucket=bucket))
        request = CaptureRequest(namespaces=(_SPACE,), job="bench")
        taken = plugin.capturing.take(request)
        sizes = [document.size for document in plugin.catalogue.find(str(taken.ref)).documents]
        ours, theirs = list[float](), list[float]()
        _bare(writer, store, sizes, "warm-up")
        for number in range(rounds):
            ours.append(_seconds(lambda: plugin.capturing.take(request)))
            theirs.append(_seconds(lambda at=number: _bare(writer, store, sizes, f"peer/{at}")))  # type: ignore[misc]
        plugin.close()
    return [
        Row(
            part="i",
            measured=f"capture without Velero of {crowd}, median of {rounds}",
            ours=statistics.median(ours),
            theirs=statistics.median(theirs),
            unit="s",
            peer="bare LISTs and PUTs",
            target=TARGET,
        )
    ]


@contextmanager
def _stack(directory: Path, crowd: Crowd) -> Iterator[Stack]:
    """Start the servers with the crowd, and let this process reach them."""
    stack = Stack(directory)
    before = dict(os.environ)
    try:
        stack.start(velero=False)
        stack.cluster.controller_manager.stop()  # it would unbind the claims: no volume is behind them
        stack.store.create_bucket(_BUCKET)
        writer = Writer(stack.cluster)
        writer.create("/api/v1/namespaces", [machines.namespace(_SPACE)])
        crowds.populate(writer, _SPACE, crowd.vms(_SPACE))
        for plural, item in crowd.objects(_SPACE):
            writer.create(collection(plural, _SPACE), [item])
        writer.settle(collection(crowds.VM, _SPACE), crowd.machines)
        credentials = directory / "credentials"
        credentials.write_text(stack.store.credentials)
        os.environ |= {"KUBECONFIG": str(stack.cluster.kubeconfig), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
        yield stack
    finally:
        _restore_environment(before)
        stack.stop()


def _restore_environment(before: Mapping[str, str]) -> None:
    for name in ("KUBECONFIG", "AWS_SHARED_CREDENTIALS_FILE"):
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


def _bare(writer: Writer, store: Any, sizes: Sequence[int], prefix: str) -> None:
    for kind in _KINDS:
        writer.list(collection(kind, _SPACE))

    def put(numbered: tuple[int, int]) -> None:
        number, size = numbered
        store.put_object(Bucket=_BUCKET, Key=f"{prefix}/{number}", Body=os.urandom(size))

    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(put, enumerate(sizes)))


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
