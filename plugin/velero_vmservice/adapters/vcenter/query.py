"""Property collector queries: one call for many objects, page by page."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from velero_vmservice.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.adapters.vcenter.sdk import Sdk
    from velero_vmservice.clock import Clock

log = structlog.get_logger()

PAGE: Final = 200
"""Objects in one answer: a VM with its record is some 20 kB."""
MOST_PAGES: Final = 500
"""100,000 objects: ten times the maximum of VMs on a Supervisor."""

Properties = dict[str, Any]


class OutOfTime(Unavailable):
    """Requests and reading took longer than the limit."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A time limit for several requests and the reading of their answers."""

    clock: Clock
    seconds: float
    until: float

    @classmethod
    def of(cls, clock: Clock, seconds: float) -> Budget:
        """Start the clock."""
        return cls(clock, seconds, clock.monotonic() + seconds)

    def demand(self) -> None:
        """Raise `OutOfTime` if no time is left."""
        if self.clock.monotonic() > self.until:
            raise OutOfTime(
                f"vCenter and what it tells took more than {self.seconds:.0f} s",
                hint="wait for the next look, which goes on; if none ends, look for what keeps vCenter busy",
            )


def moid_of(managed_object: Any) -> str:
    """Return the id of a managed object."""
    return str(managed_object._GetMoId())  # noqa: SLF001 - pyvmomi has the id only there


def below_folders(sdk: Sdk, folders: Iterable[Any], kinds: Mapping[Any, Sequence[str]], *, tasks: bool = False) -> Any:
    """Return the filter for the content of folders and datacenters at any depth; with `tasks` also the VMs' tasks."""
    collector = sdk.vmodl.query.PropertyCollector
    names = ["folders", "datacenters", *(["tasks"] if tasks else [])]
    further = [collector.SelectionSpec(name=name) for name in names]
    vim = sdk.vim
    steps = [
        collector.TraversalSpec(name="folders", type=vim.Folder, path="childEntity", selectSet=further),
        collector.TraversalSpec(name="datacenters", type=vim.Datacenter, path="vmFolder", selectSet=further),
    ]
    if tasks:
        steps.append(collector.TraversalSpec(name="tasks", type=vim.VirtualMachine, path="recentTask"))
    return _filter(sdk, [collector.ObjectSpec(obj=folder, selectSet=steps) for folder in folders], kinds)


def of_objects(sdk: Sdk, objects: Iterable[Any], kinds: Mapping[Any, Sequence[str]], *, tasks: bool = False) -> Any:
    """Return the filter for these objects; with `tasks` the recent tasks of those that are VMs."""
    collector = sdk.vmodl.query.PropertyCollector
    steps = [collector.TraversalSpec(type=sdk.vim.VirtualMachine, path="recentTask")] if tasks else []
    return _filter(sdk, [collector.ObjectSpec(obj=item, selectSet=steps) for item in objects], kinds)


def retrieve(
    sdk: Sdk, content: Any, query: Any, *, demand_time: Callable[[], None] = lambda: None
) -> Iterator[tuple[Any, Properties]]:
    """Yield each object with its properties; missing and forbidden properties are left out.

    `demand_time` is called before each page and each object, and raises to give up.
    """
    with closing(_pages(sdk, content.propertyCollector, query, demand_time)) as pages:
        for page in pages:
            for item in page.objects or ():
                demand_time()
                _demand_session(sdk, item)
                yield item.obj, {entry.name: entry.val for entry in item.propSet or ()}


def _pages(sdk: Sdk, collector: Any, query: Any, demand_time: Callable[[], None]) -> Generator[Any, None, None]:
    """Yield each page; an abandoned query leaves nothing behind in vCenter."""
    options = sdk.vmodl.query.PropertyCollector.RetrieveOptions(maxObjects=PAGE)
    demand_time()
    page = collector.RetrievePropertiesEx([query], options)
    kept = None
    try:
        for _ in range(MOST_PAGES):
            if page is None:
                return
            kept = page.token
            yield page
            if not kept:
                return
            demand_time()
            page = collector.ContinueRetrievePropertiesEx(kept)
        raise Unavailable(
            f"vCenter has more than {PAGE * MOST_PAGES} objects to report",
            hint="give the account access to fewer objects",
        )
    except OSError:
        kept = None  # a second wait for a silent vCenter would be useless
        raise
    finally:
        if kept:
            _cancel(collector, kept)


def _cancel(collector: Any, token: str) -> None:
    try:
        collector.CancelRetrievePropertiesEx(token)
    except Exception as error:  # noqa: BLE001 - vCenter forgets it with the session
        log.debug("unread pages not released in vCenter", cause=type(error).__name__)


def _demand_session(sdk: Sdk, content: Any) -> None:
    """Raise the fault that vCenter hides in each property when a session has expired."""
    for missing in content.missingSet or ():
        if isinstance(missing.fault, sdk.vim.fault.NotAuthenticated):
            raise missing.fault


def _filter(sdk: Sdk, objects: list[Any], kinds: Mapping[Any, Sequence[str]]) -> Any:
    collector = sdk.vmodl.query.PropertyCollector
    wanted = [collector.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in kinds.items()]
    return collector.FilterSpec(objectSet=objects, propSet=wanted, reportMissingObjectsInResults=True)
