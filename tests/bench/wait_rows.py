"""The rows of (e): what a waiting restore costs, judged."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from tests.bench.crowds import PAGE
from tests.bench.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.waits import Wait, Waits
    from tests.e2e.audit import Request

CALL_SECONDS: Final = 5.0
"""What one Progress call is bounded to."""
MEMORY_MEBIBYTES: Final = 150
ROUNDS_TO_REPLAY: Final = 3
_GET = "bare GET of one VM"


def rows(waits: Waits) -> Iterator[Row]:
    """Write the rows."""
    yield from _requests(waits.small, waits.large)
    yield from _times(waits.large)
    yield from _memory(waits.huge, waits.velero)


def _requests(small: Wait, large: Wait) -> Iterator[Row]:
    yield Row(
        part="e",
        measured=f"API requests of a waiting round with {large.crowd}: median, the first page of each list",
        ours=statistics.median(map(_first_pages, large.rounds)),
        theirs=statistics.median(map(_first_pages, small.rounds)),
        peer=f"with {small.crowd}",
        target=1,
    )
    yield Row(
        part="e",
        measured="most in one of these rounds, discovery included",
        ours=max(sum(not request.is_further_page for request in requests) for requests in large.rounds),
        theirs=max(sum(not request.is_further_page for request in requests) for requests in small.rounds),
        peer="with as few",
    )
    yield Row(
        part="e",
        measured=f"further pages of a list in one of these rounds, of {PAGE} objects each",
        ours=statistics.median(sum(request.is_further_page for request in requests) for requests in large.rounds),
    )
    yield Row(
        part="e",
        measured="rounds from the last VM ready to all replayed",
        ours=len(large.replaying),
        target=ROUNDS_TO_REPLAY,
    )


def _first_pages(requests: Sequence[Request]) -> int:
    return sum(not (request.is_further_page or request.is_discovery) for request in requests)


def _times(wait: Wait) -> Iterator[Row]:
    calls = [seconds for poll in wait.calls for seconds in poll]
    replaying = [seconds for poll in wait.replaying for seconds in poll]

    def row(label: str, ours: float, peer: str, theirs: Sequence[float]) -> Row:
        median = statistics.median(theirs)
        return Row(part="e", measured=label, ours=ours * 1000, theirs=median * 1000, unit="ms", peer=peer)

    yield row(f"Progress in these rounds, p50 of {len(calls):,}", statistics.median(calls), _GET, wait.gets)
    p99 = statistics.quantiles(calls, n=100, method="inclusive")[98]
    yield row("Progress in these rounds, p99", p99, _GET, wait.gets)
    looks = statistics.median(max(poll) for poll in wait.calls)
    yield row("the call of a round that looks, median", looks, "bare LISTs of the same", wait.lists)
    yield Row(
        part="e",
        measured="slowest call, those that replay included",
        ours=max(calls + replaying),
        unit="s",
        target=CALL_SECONDS,
    )


def _memory(wait: Wait, velero: float) -> Iterator[Row]:
    def row(moment: str, ours: float, target: float | None = None) -> Row:
        return Row(part="e", measured=f"memory of the sidecar, {moment}", ours=ours, unit="MiB", target=target)

    yield row(f"restore of {wait.crowd}: most in a waiting round", wait.while_waiting, MEMORY_MEBIBYTES)
    yield row("most in the round before, which reads the captures", wait.while_reading)
    yield row("most in their backup", wait.while_backed_up)
    yield Row(
        part="e",
        measured="memory of the sidecar, at rest between two waiting rounds",
        ours=wait.at_rest,
        theirs=velero,
        unit="MiB",
        peer="velero server, idle",
    )
