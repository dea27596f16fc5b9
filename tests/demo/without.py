"""The contrast: what Velero alone brings back, looked at in the Kubernetes API.

A Supervisor takes no VMs from Velero, so the backup of this part leaves them out; everything else is restored at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.demo import application
from tests.demo.application import NAMESPACE
from tests.emulator.vm_operator import conditions
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.application import Snapshot
    from tests.demo.place import Place
    from tests.demo.screen import Screen
    from tests.demo.velero import Run, Velero
    from tests.emulator.vadp import RestorePoint

Json = dict[str, Any]

EXCLUDED: Final = "virtualmachines.vmoperator.vmware.com"
FIRST_BACK: Final = "shop-web-1"
"""The VM that the VADP vendor happens to restore first; the boot order has the database first."""
_DEADLINE: Final = 30


def back_up(velero: Velero) -> Run:
    """Take a backup of the running application without the plugin."""
    return velero.back_up_alone("alone", NAMESPACE, excluded=[EXCLUDED])


def show(screen: Screen, place: Place, velero: Velero, backup: Run, point: RestorePoint) -> None:
    """Restore it into the empty namespace, bring one VM back, and print what is there after each."""
    screen.title("3  Without the plugin: Velero alone restores it")
    screen.say(
        "A Supervisor takes no VMs from Velero: they come back through RegisterVM, when a"
        " VADP vendor has restored their disks. Velero restores the rest, and waits for nothing.",
        hang=0,
    )
    cluster = place.supervisor.cluster
    restore = velero.restore_alone("alone-restored", backup)
    snapshot = wait_until(
        lambda: _judged(application.look(cluster)), _DEADLINE, "VM Operator has looked at groups and services"
    )
    assert snapshot is not None
    screen.say(
        "",
        f"Velero's Restore: {restore.record['status']['phase']}. VMs in the namespace: {len(snapshot.machines)}.",
        *_groups(snapshot),
        *_services(snapshot),
        "",
        f"Now the VADP vendor restores {FIRST_BACK}, and RegisterVM brings it back:",
    )
    place.supervisor.restore(point, FIRST_BACK).finish()

    def observed() -> Snapshot | None:
        now = application.look(cluster)
        machine = now.machines.get(FIRST_BACK, {})
        return now if application.status(machine).get("powerState") == "PoweredOn" else None

    snapshot = wait_until(observed, _DEADLINE, f"VM Operator has powered {FIRST_BACK} on")
    assert snapshot is not None
    screen.say(*_unasked(snapshot), *_claims(snapshot))
    place.supervisor.lose(NAMESPACE)
    screen.say("", "Everything is removed again. With the plugin:")


def _judged(snapshot: Snapshot) -> Snapshot | None:
    """Return what is there, once each group has a verdict of VM Operator's and the service an address."""
    verdicts = [conditions.find(application.status(group), "Ready") for group in snapshot.groups.values()]
    return snapshot if verdicts and all(verdicts) and snapshot.address("shop-web") else None


def _groups(snapshot: Snapshot) -> Iterator[str]:
    for name, group in snapshot.groups.items():
        ready = conditions.find(application.status(group), "Ready") or {}
        yield f"- group {name}: Ready={ready.get('status')}: {ready.get('message')}"


def _services(snapshot: Snapshot) -> Iterator[str]:
    for name in snapshot.services:
        behind = ", ".join(application.addresses(snapshot.endpoints.get(name, {}))) or "none"
        address = snapshot.address(name)
        yield f"- service {name}: {f'address {address}, ' if address else ''}endpoints: {behind}"


def _unasked(snapshot: Snapshot) -> Iterator[str]:
    (root,) = [group for group in snapshot.groups.values() if not group["spec"].get("groupName")]
    first = [member["name"] for member in root["spec"]["bootOrder"][0]["members"]]
    power = application.status(snapshot.machines[FIRST_BACK])["powerState"]
    missing = sorted({"shop-db-1", "shop-web-2"} - snapshot.machines.keys())
    name = root["metadata"]["name"]
    yield f"- VM {FIRST_BACK}: {power}, as group {name} came back with powerState {root['spec'].get('powerState')}"
    yield f"- the boot order of group {name} begins with {', '.join(first)}; not there yet: {', '.join(missing)}"


def _claims(snapshot: Snapshot) -> Iterator[str]:
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for machine in snapshot.machines.values()
        for volume in machine["spec"].get("volumes") or ()
    }
    for name, claim in snapshot.claims.items():
        if name not in used:
            phase = application.status(claim).get("phase")
            yield f"- disk {name}: {phase}, and no VM that is there uses it"
