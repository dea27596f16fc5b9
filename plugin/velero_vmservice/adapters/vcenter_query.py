"""Property collector queries: whatever is asked of many objects is asked in one call, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.adapters.vcenter_sdk import Sdk

PAGE: Final = 200
"""Objects in one answer: a machine with its record is some 20 kB."""
MOST_PAGES: Final = 500
"""100,000 objects: ten times the machines that a Supervisor is asked to hold."""

Properties = dict[str, Any]


def below_folders(sdk: Sdk, folders: Iterable[Any], kinds: Mapping[Any, Sequence[str]], *, tasks: bool = False) -> Any:
    """Return the filter for what is in folders and below, datacenters included; with `tasks` the machines' too."""
    collector = sdk.vmodl.query.PropertyCollector
    names = ["folders", "datacenters", *(["tasks"] if tasks else [])]
    further = [collector.SelectionSpec(name=one) for one in names]
    vim = sdk.vim
    steps = [
        collector.TraversalSpec(name="folders", type=vim.Folder, path="childEntity", selectSet=further),
        collector.TraversalSpec(name="datacenters", type=vim.Datacenter, path="vmFolder", selectSet=further),
    ]
    if tasks:
        steps.append(collector.TraversalSpec(name="tasks", type=vim.VirtualMachine, path="recentTask"))
    return _filter(sdk, [collector.ObjectSpec(obj=one, selectSet=steps) for one in folders], kinds)


def of_objects(sdk: Sdk, objects: Iterable[Any], kinds: Mapping[Any, Sequence[str]], *, tasks: bool = False) -> Any:
    """Return the filter for these objects; with `tasks` the recent tasks of those that are machines."""
    collector = sdk.vmodl.query.PropertyCollector
    steps = [collector.TraversalSpec(type=sdk.vim.VirtualMachine, path="recentTask")] if tasks else []
    return _filter(sdk, [collector.ObjectSpec(obj=one, selectSet=steps) for one in objects], kinds)


def retrieve(sdk: Sdk, content: Any, query: Any) -> Iterator[tuple[Any, Properties]]:
    """Yield each object with the properties that it has; those that it lacks, or that nobody may see, are left out."""
    collector = content.propertyCollector
    options = sdk.vmodl.query.PropertyCollector.RetrieveOptions(maxObjects=PAGE)
    page = collector.RetrievePropertiesEx([query], options)
    for _ in range(MOST_PAGES):
        if page is None:
            return
        for one in page.objects or ():
            _demand_session(sdk, one)
            yield one.obj, {entry.name: entry.val for entry in one.propSet or ()}
        if not page.token:
            return
        page = collector.ContinueRetrievePropertiesEx(page.token)
    raise Unavailable(
        f"vCenter has more than {PAGE * MOST_PAGES} objects to tell of", hint="give the account access to less"
    )


def _demand_session(sdk: Sdk, found: Any) -> None:
    """Raise the fault that vCenter hides in each property when a session has expired."""
    for missing in found.missingSet or ():
        if isinstance(missing.fault, sdk.vim.fault.NotAuthenticated):
            raise missing.fault


def _filter(sdk: Sdk, objects: list[Any], kinds: Mapping[Any, Sequence[str]]) -> Any:
    collector = sdk.vmodl.query.PropertyCollector
    wanted = [collector.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in kinds.items()]
    return collector.FilterSpec(objectSet=objects, propSet=wanted, reportMissingObjectsInResults=True)
