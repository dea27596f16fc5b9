"""Is it so? The end of the demo looked at in the Kubernetes API, in vCenter and in the bucket.

What the plugin said on the way counts for nothing here, but for one question: whether it said that it failed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.demo import application
from tests.demo.place import ChangeFreeze
from velero_vmservice.archive.pruning.marker import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.demo.application import Snapshot
    from tests.demo.place import Bucket, Place
    from tests.demo.velero import Run, State

Json = dict[str, Any]

OURS: Final = "plugins/vmservice/"
_DROPPED: Final = {"VirtualMachineGroup": {"powerState"}, "VirtualMachineService": {"clusterIp"}}
"""Fields that are documented not to come back: power is the administrator's, the inner address the cluster's."""

_NEVER: Final = "9999"
"""Later than any time stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that has to be so."""

    statement: str
    holds: bool
    actual: str = ""


def look(
    place: Place, before: Snapshot, restore: Run, states: Sequence[State], *, resumed: int | None
) -> Sequence[Fact]:
    """Gather all facts; `resumed` is the exit code of the command that went on with the restore, if one did."""
    after = application.look(place.supervisor.cluster)
    return [
        *_operations(before, states, resumed),
        *_objects(before, after, restore),
        *_order(place, before, after),
        *_vms(place, before, after),
        *_connections(before, after),
        *_archive(place.bucket, before, restore),
    ]


def _operations(before: Snapshot, states: Sequence[State], resumed: int | None) -> Iterator[Fact]:
    wanted = len(before.replayable)
    errors = [state.error for state in states if state.error]
    ended = [state for state in states if state.completed]
    statement = f"{wanted} operations ended, one with an error: what the webhook refused"
    holds = len(ended) == len(states) == wanted and len(errors) == 1 and ChangeFreeze.REFUSAL in errors[0]
    yield Fact(statement=statement, holds=holds, actual="; ".join(errors) or f"{len(ended)} ended, none with an error")
    yield Fact(statement="the resumed restore ended with exit code 0", holds=resumed == 0, actual=str(resumed or ""))


def _objects(before: Snapshot, after: Snapshot, restore: Run) -> Iterator[Fact]:
    old = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in before.replayable}
    new = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in after.replayable}
    statement = f"{len(before.groups)} groups and {len(before.services)} services are there"
    yield Fact(statement=statement, holds=old.keys() == new.keys(), actual=", ".join(name for _, name in new) or "none")
    both = old.keys() & new.keys()
    different = [name for kind, name in both if _wanted(old[kind, name]) != _wanted(new[kind, name])]
    yield Fact(statement="each is as it was backed up", holds=bool(both) and not different, actual=", ".join(different))
    name = restore.record["metadata"]["name"]
    fresh = [
        key
        for key in both
        if new[key]["metadata"]["uid"] != old[key]["metadata"]["uid"]
        and (new[key]["metadata"].get("labels") or {}).get("velero.io/restore-name") == name
    ]
    statement = f"each is a new object, labelled as restored by {name}"
    yield Fact(statement=statement, holds=bool(both) and len(fresh) == len(both), actual=f"{len(fresh)} of {len(both)}")


def _wanted(item: Json) -> Json:
    dropped = _DROPPED[item["kind"]]
    return {key: value for key, value in item["spec"].items() if key not in dropped}


def _order(place: Place, before: Snapshot, after: Snapshot) -> Iterator[Fact]:
    made = {vm["metadata"]["name"]: vm["metadata"]["creationTimestamp"] for vm in after.machines.values()}
    early = [
        manifest["metadata"]["name"]
        for manifest in after.replayable
        if any(made.get(name, _NEVER) > manifest["metadata"]["creationTimestamp"] for name in before.needed(manifest))
    ]
    holds = bool(after.replayable) and not early
    yield Fact(statement="none came before the VMs it needs", holds=holds, actual=", ".join(early))
    kinds = ("virtualmachinegroups", "virtualmachineservices")
    creates = [call for call in place.api.calls if call.verb == "create" and call.resource in kinds]
    tries = Counter(call.dry_run for call in creates)
    statement = "each was tried as a dry run first, and created once"
    count = len(before.replayable)
    tried = f"{tries[True]} dry runs, {tries[False]} creations"
    yield Fact(statement=statement, holds=tries[True] >= count == tries[False], actual=tried)


def _vms(place: Place, before: Snapshot, after: Snapshot) -> Iterator[Fact]:
    names = sorted(before.machines)
    statement = f"{', '.join(names)} are registered again"
    alive = [name for name, vm in after.machines.items() if _is_back(vm, before.machines.get(name))]
    yield Fact(statement=statement, holds=sorted(alive) == names, actual=", ".join(alive))
    powers = {application.status(vm).get("powerState", "no status") for vm in after.machines.values()}
    powers |= {"PoweredOn" for vsphere_vm in place.supervisor.vcenter.machines() if vsphere_vm.powered_on}
    statement = "every VM is powered off, in vCenter too"
    yield Fact(statement=statement, holds=powers == {"PoweredOff"}, actual=", ".join(sorted(powers)))
    claims = {name: application.status(claim).get("phase", "Pending") for name, claim in after.claims.items()}
    right = len(claims) == len(before.claims) and all(
        name.startswith("restored-") and phase == "Bound" for name, phase in claims.items()
    )
    statement = "the only disks are those that RegisterVM brought"
    yield Fact(statement=statement, holds=right, actual=", ".join(f"{name} {phase}" for name, phase in claims.items()))


def _is_back(machine: Json, old: Json | None) -> bool:
    """Say whether this is a new object for the same vSphere VM, and VM Operator has found it."""
    fresh = old is not None and machine["metadata"]["uid"] != old["metadata"]["uid"]
    same = old is not None and machine["spec"]["instanceUUID"] == old["spec"]["instanceUUID"]
    return fresh and same and application.is_true(application.status(machine), "VirtualMachineCreated")


def _connections(before: Snapshot, after: Snapshot) -> Iterator[Fact]:
    members = [member for group in after.groups.values() for member in application.status(group).get("members") or ()]
    linked = [member for member in members if application.is_true(member, "GroupLinked")]
    wanted = len(before.machines) + len([vm for vm in before.groups.values() if vm["spec"].get("groupName")])
    statement = f"{wanted} members are linked to their groups, nested ones too"
    yield Fact(
        statement=statement, holds=len(linked) == len(members) == wanted, actual=f"{len(linked)} of {len(members)}"
    )
    old, new = before.address("shop-web"), after.address("shop-web")
    statement = f"the load balancer has an address: {old} → {new}"
    yield Fact(statement=statement, holds=bool(old and new), actual=new or "none")


def _archive(bucket: Bucket, before: Snapshot, restore: Run) -> Iterator[Fact]:
    backup, name = restore.record["spec"]["backupName"], restore.record["metadata"]["name"]
    seals = [key for key in bucket.keys(f"{OURS}captures/{backup}/") if key.endswith("/capture.json")]
    sealed = [entry for key in seals for entry in _sealed(json.loads(bucket.read(key)))]
    broken = [key for key, sha256 in sealed if hashlib.sha256(bucket.read(OURS + key)).hexdigest() != sha256]
    wanted = len(before.replayable) + 1
    statement = f"the sealed capture holds {wanted} documents, and each has the digest that was sealed"
    holds = len(seals) == 1 and len(sealed) == wanted and not broken
    yield Fact(
        statement=statement, holds=holds, actual=", ".join(broken) or f"{len(sealed)} documents, {len(seals)} seals"
    )
    ends = Counter("; ".join((result["stage"], *result["warnings"])) for result in results(bucket, name))
    statement = f"the bucket holds the results of {wanted - 1} objects, in the end all verified and without a warning"
    actual = ", ".join(f"{count} {end}" for end, count in ends.items())
    yield Fact(statement=statement, holds=ends == {"verified": wanted - 1}, actual=actual)
    kept = [json.loads(bucket.read(key)) for key in reports(bucket, name, "report.json")]
    outcomes = [report["outcome"] for report in kept]
    statement = "the last report of the restore says verified, and how to power the VMs on"
    holds = outcomes[1:] == ["verified"] and "powerState" in str(kept[-1]["next_steps"])
    yield Fact(statement=statement, holds=holds, actual=", ".join(outcomes))


def _sealed(seal: Json) -> Iterator[tuple[str, str]]:
    for entry in (*seal["objects"], *seal["namespaces"]):
        yield entry["key"], entry["sha256"]


def results(bucket: Bucket, restore: str) -> Sequence[Json]:
    """Read what the plugin stored last about each object of a restore: keys are in the order of its runs."""
    beside = ("/report.json", "/report.html", f"/{MARKER}")
    keys = [key for key in bucket.keys(f"{OURS}restores/{restore}/") if not key.endswith(beside)]
    stored = [json.loads(bucket.read(key)) for key in keys]
    return list({(result["kind"], result["name"]): result for result in stored}.values())


def reports(bucket: Bucket, restore: str, name: str) -> Sequence[str]:
    """Return the keys of a restore's reports, that of the last run at the end."""
    return [key for key in bucket.keys(f"{OURS}restores/{restore}/") if key.endswith(f"/{name}")]
