"""What VM Operator's webhooks would refuse, reported before anything is written.

The rules are those of webhooks/virtualmachineservice/validation, webhooks/virtualmachinegroup/{mutation,validation}
and the schemas of api/v1alpha6 (vm-service 4.1, 4.3). Those that depend on a capability of the Supervisor, such as
`powerOffDelay` and `ipFamilies`, are not here (`capabilities`), nor is what may be changed afterwards (`compare`).
A rule that is missing here is found by the server's dry run; one that is wrong here blocks a good restore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.kube.manifest import (
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    VM_OPERATOR_GROUP,
    Manifest,
    mapping,
    sequence,
)
from velero_vmservice.vmoperator.admission import service

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMBER_KINDS: Final = ("VirtualMachine", "VirtualMachineGroup")
POWER_STATES: Final = ("PoweredOn", "PoweredOff", "Suspended")
POWER_STAMP: Final = f"{VM_OPERATOR_GROUP}.protected/last-updated-power-state-time"


def problems(manifest: Manifest) -> tuple[str, ...]:
    """Return why VM Operator would refuse to create the object: a sentence each, with field, value and remedy.

    Empty for an object that it accepts, and for a kind that it has no rules for here.
    """
    if manifest.group != VM_OPERATOR_GROUP:
        return ()
    match manifest.kind_name:
        case VIRTUAL_MACHINE_SERVICE.name:
            return tuple(service.problems(manifest))
        case VIRTUAL_MACHINE_GROUP.name:
            return (*_members(manifest), *_parent(manifest), *_power(manifest))
        case _:
            return ()


def _members(manifest: Manifest) -> Iterator[str]:
    first: dict[tuple[str, str], str] = {}
    for path, entry in _entries(manifest):
        if "kind" in entry and entry["kind"] not in MEMBER_KINDS:
            yield (
                f"{path}.kind is {entry['kind']!r}: a member is a {' or a '.join(MEMBER_KINDS)}; take the member out,"
                " or name its kind"
            )
            continue
        kind, name = str(entry.get("kind", MEMBER_KINDS[0])), entry.get("name")
        if not isinstance(name, str) or not name:
            yield f"{path}.name is missing: a member needs a name; take the member out, or name it"
            continue
        if (kind, name) in first:
            yield (
                f"{path} lists {kind} {name}, which {first[kind, name]} lists already: a member stands in one place"
                " of the boot order; keep one of the two"
            )
        first.setdefault((kind, name), path)
        if (kind, name) == (VIRTUAL_MACHINE_GROUP.name, manifest.name):
            yield f"{path} is the group {name} itself: a group cannot be its own member; take it out"


def _entries(manifest: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    for step, entry in enumerate(sequence(manifest.spec.get("bootOrder"))):
        for place, member in enumerate(sequence(mapping(entry).get("members"))):
            yield f"spec.bootOrder[{step}].members[{place}]", dict(mapping(member))


def _parent(manifest: Manifest) -> Iterator[str]:
    if manifest.spec.get("groupName") == manifest.name:
        yield (
            f"spec.groupName is {manifest.name!r}, the group's own name: a group cannot belong to itself; name another"
            " parent, or none"
        )


def _power(manifest: Manifest) -> Iterator[str]:
    state, sync = (
        str(manifest.spec.get("powerState") or ""),
        str(manifest.spec.get("nextForcePowerStateSyncTime") or ""),
    )
    if state and state not in POWER_STATES:
        yield f"spec.powerState is {state!r}: it is one of {', '.join(POWER_STATES)}; leave it out when creating"
    if sync and sync.lower() != "now":
        yield (
            f'spec.nextForcePowerStateSyncTime is {sync!r}: it may only be set to "now", everything else is the'
            " webhook's own stamp; leave it out"
        )
        return
    if manifest.annotations.get(POWER_STAMP) and not (state or sync):
        yield (
            f"metadata.annotations[{POWER_STAMP}] is {manifest.annotations[POWER_STAMP]!r}: only VM Operator's webhook"
            " may set it; leave it out"
        )
