"""The rows of (f): what a waiting round asks of each registration source, and how long that takes, judged."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.bench import crowds
from tests.bench.registrations import Case
from tests.bench.table import Row
from tests.bench.wait_rows import CALL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.hostile_folder import Memory
    from tests.bench.registrations import Round, Wait, Waits

_COUNTED: Final = (Case.KUBERNETES, Case.VCENTER, Case.ENGINE, Case.ALL, Case.REFUSED, Case.FOLLOWED)
_TIMED: Final = {
    Case.KUBERNETES: "bare GET and LISTs of the same",
    Case.VCENTER: "bare container view of the same",
    Case.ENGINE: "bare gRPC call",
    Case.ALL: "these three",
}
_HOSTILE_RATIO: Final = 0.5


def rows(waits: Waits) -> Iterator[Row]:
    """Write the rows."""
    for case in _COUNTED:
        yield _requests(case, waits.small, waits.large)
    yield from _twice(waits.large)
    for case, peer in _TIMED.items():
        yield from _times(case, peer, waits.large)
    yield from _with_trigger(waits.large)
    yield _memory(waits.hostile)


def _requests(case: Case, small: Wait, large: Wait) -> Row:
    """Compare the requests; the target is what the further pages of longer answers explain."""
    few, many = (statistics.median(waited.requests for waited in wait.rounds[case]) for wait in (small, large))
    pages = [statistics.median(waited.further_pages for waited in wait.rounds[case]) for wait in (small, large)]
    explained = (few + pages[1] - pages[0]) / few
    return Row(
        part="f",
        measured=f"requests of a waiting round of {large.machines} VMs, {case}",
        ours=many,
        theirs=few,
        peer=f"of {small.machines} VMs",
        target=math.ceil(explained * 100) / 100,
    )


def _twice(large: Wait) -> Iterator[Row]:
    """Count what is read twice in a round, which is no matter of how many there are."""
    yield Row(
        part="f",
        measured="of these, LISTs of VirtualMachines, all three",
        ours=statistics.median(map(_vm_lists, large.rounds[Case.ALL])),
        theirs=statistics.median(map(_vm_lists, large.rounds[Case.KUBERNETES])),
        peer=Case.KUBERNETES,
        target=1,
    )
    yield Row(
        part="f",
        measured=f"of these, requests to vCenter, {Case.REFUSED}, while VADP restores run",
        ours=statistics.median(waited.vcenter for waited in large.rounds[Case.REFUSED]),
        theirs=statistics.median(waited.vcenter for waited in large.rounds[Case.RESTORING]),
        peer="trigger off",
        target=1,
    )


def _vm_lists(waited: Round) -> int:
    paths = (urlsplit(each.uri).path for each in waited.kubernetes if not each.is_further_page)
    return sum(path.endswith(f"/{crowds.VM}") for path in paths)


def _times(case: Case, peer: str, wait: Wait) -> Iterator[Row]:
    ours, bare = [waited.seconds for waited in wait.rounds[case]], wait.bare[case]
    label = f"a waiting round of {wait.machines} VMs, {case}"
    yield _milliseconds(f"{label}, median of {len(ours)}", statistics.median(ours), peer, bare)
    if case is Case.ALL:
        yield Row(part="f", measured=f"{label}, slowest", ours=max(ours), unit="s", target=CALL_SECONDS)
    else:
        yield _milliseconds(f"{label}, slowest", max(ours), peer, bare)


def _with_trigger(wait: Wait) -> Iterator[Row]:
    off = [waited.seconds for waited in wait.rounds[Case.RESTORING]]
    for case in (Case.REFUSED, Case.FOLLOWED):
        seconds = statistics.median(waited.seconds for waited in wait.rounds[case])
        yield _milliseconds(f"a waiting round of {wait.machines} VMs, {case}, median", seconds, "trigger off", off)


def _memory(look: Memory) -> Row:
    return Row(
        part="f",
        measured=f"memory of a look at {look.machines} VMs with 1 MiB of garbage as record each",
        ours=look.ours,
        theirs=look.bare,
        unit="MiB",
        peer="bare container view of the same",
        target=_HOSTILE_RATIO,
    )


def _milliseconds(label: str, ours: float, peer: str, theirs: Sequence[float]) -> Row:
    median = statistics.median(theirs)
    return Row(part="f", measured=label, ours=ours * 1000, theirs=median * 1000, unit="ms", peer=peer)
