"""The demo from beginning to end: backed up, lost, registered, replayed, verified."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.tree import Tree

from tests.demo import application, facts
from tests.demo.application import NAMESPACE
from tests.demo.returning import RETURNS, Returning
from tests.demo.screen import MachineRow, ObjectRow
from tests.demo.velero import Velero
from tests.supervisor.machine_controller import PAUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.demo.application import Snapshot
    from tests.demo.place import Place
    from tests.demo.screen import Screen
    from tests.demo.velero import Item, Run, State
    from tests.supervisor.vadp import RestorePoint

Json = dict[str, Any]

BACKUP, RESTORE = "nightly", "nightly-restored"
_SHORT = {"VirtualMachineGroup": "group", "VirtualMachineService": "service", "VirtualMachine": "machine"}


def tell(screen: Screen, place: Place) -> bool:
    """Play the whole story; return whether everything ended as it must."""
    velero = Velero(place)
    _stage(screen, place, velero)
    before = _deploy(screen, place)
    point = place.supervisor.back_up(NAMESPACE)
    backup, sealed = _back_up(screen, velero)
    _lose(screen, place)
    restore, states = _restore(screen, place, velero, backup, point)
    found = facts.look(place, before, restore, states)
    good = sealed and all(fact.holds for fact in found)
    velero.objects.end(restore.record, "Completed" if good else "PartiallyFailed")
    _end(screen, place, found)
    _launches(screen, velero, good=good)
    return good


def _stage(screen: Screen, place: Place, velero: Velero) -> None:
    screen.title("The stage")
    screen.say(
        "Real here: our sidecar, our launcher that Velero executes, the plugin protocol.",
        "Played here: Velero, the Supervisor (VM Operator, RegisterVM, vCenter), the",
        "Kubernetes API (kmock), S3 (moto). `make e2e` uses the real Velero, API server",
        "and S3 server; a Supervisor needs vSphere, so it is played there too.",
        "What takes minutes in reality takes seconds here.",
    )
    velero.objects.install(place.bucket)
    actions = ", ".join(sorted(one.name.rpartition("/")[2] for one in velero.start()))
    screen.say(
        "",
        f"sidecar         velero-vmservice serve, process {place.sidecar.pid}",
        f"launcher        {place.launcher.name}, {place.launcher.stat().st_size} bytes",
        f"its actions     {actions}",
        f"Kubernetes API  {place.api.url}",
        f"S3              {place.bucket.url}, bucket {place.bucket.name}",
    )


def _deploy(screen: Screen, place: Place) -> Snapshot:
    screen.title("1  An application runs")
    before = application.deploy(place.supervisor)
    screen.draw(_tree(before))
    return before


def _tree(found: Snapshot) -> Tree:
    tree = Tree(f"namespace {NAMESPACE}")
    parents: dict[str, Tree] = {"": tree}
    for name, group in sorted(found.groups.items(), key=lambda one: one[1]["spec"].get("groupName", "")):
        parents[name] = parents[group["spec"].get("groupName", "")].add(f"group {name}")
    for name, machine in found.machines.items():
        volumes = [volume["name"] for volume in machine["spec"].get("volumes") or ()]
        disks = f", disk {', '.join(volumes)}" if volumes else ""
        parents[machine["spec"]["groupName"]].add(f"machine {name}, {machine['status']['powerState']}{disks}")
    for name, service in found.services.items():
        address = found.address(name)
        endpoints = ", ".join(application.addresses(found.endpoints[name]))
        tree.add(f"service {name}, {service['spec']['type']}{f' {address}' if address else ''} → {endpoints}")
    return tree


def _back_up(screen: Screen, velero: Velero) -> tuple[Run, bool]:
    screen.title("2  It is backed up")
    screen.say("A VADP job saves the machines; Velero backs up the namespace. The plugin's log:")
    annotations = {
        "velero-plugin-for-vmservice/vadp-job": "nightly-vadp",
        "velero-plugin-for-vmservice/vadp-restore-point": "rp-1",
    }
    run = velero.back_up(BACKUP, NAMESPACE, annotations=annotations)
    _log(screen, run)
    screen.say(f"in Velero's backup: {_count(run.items)}", f"left out of it: {_count(run.left_out)}")
    states: Sequence[State] = ()
    for heard in velero.poll(run):
        states = heard
    for words in dict.fromkeys(state.error or state.description for state in states):
        screen.say(words)
    good = bool(states) and all(state.completed and not state.error for state in states)
    run.record = velero.objects.end(run.record, "Completed" if good else "PartiallyFailed")
    return run, good


def _lose(screen: Screen, place: Place) -> None:
    screen.title("3  It is lost")
    place.supervisor.lose(NAMESPACE)
    place.api.forget_calls()
    left = application.look(place.supervisor.cluster)
    screen.say(
        f"Left in namespace {NAMESPACE}: {len(left.machines)} machines, {len(left.groups)} groups,"
        f" {len(left.services)} services, {len(left.claims)} disks."
    )


def _restore(
    screen: Screen, place: Place, velero: Velero, backup: Run, point: RestorePoint
) -> tuple[Run, Sequence[State]]:
    screen.title("4  It is restored, while its machines come back one after the other")
    screen.say("Velero restores what the backup holds, but for what the plugin takes over:")
    run = velero.restore(RESTORE, backup)
    _log(screen, run)
    screen.say("Velero asks how far it is: every second here, every 10 seconds in reality.")
    states: Sequence[State] = ()
    with Returning(place.supervisor, point) as returning, screen.watch() as watch:
        for heard in velero.poll(run):
            states = heard
            watch.show(list(_machine_rows(place, returning)), [_object_row(state) for state in states])
    return run, states


def _machine_rows(place: Place, returning: Returning) -> Iterator[MachineRow]:
    found = application.look(place.supervisor.cluster)
    for one in RETURNS:
        yield MachineRow(
            name=f"machine {one.name}",
            vcenter=returning.words(one.name) or "not restored",
            kubernetes=_standing(found.machines.get(one.name), found.claims),
        )


def _standing(machine: Json | None, claims: Mapping[str, Json]) -> str:
    if machine is None:
        return "not there"
    if PAUSED in (machine["metadata"].get("annotations") or {}):
        return "there, paused by RegisterVM"
    names = [volume["persistentVolumeClaim"]["claimName"] for volume in machine["spec"].get("volumes") or ()]
    pending = [name for name in names if application.status(claims.get(name, {})).get("phase") != "Bound"]
    power = application.status(machine).get("powerState", "there, not looked at by VM Operator yet")
    return f"{power}, disk {pending[0]} not bound" if pending else power


def _object_row(state: State) -> ObjectRow:
    stage, _, reason = state.description.partition(" | ")[0].partition(": ")
    item = state.operation.item.content
    return ObjectRow(
        name=f"{_SHORT[item['kind']]} {item['metadata']['name']}",
        stage=stage,
        count=f"{state.done}/{state.total}" if state.units == "VMs" else "",
        reason=state.error or reason,
    )


def _end(screen: Screen, place: Place, found: Sequence[facts.Fact]) -> None:
    screen.title("5  What is there, looked at in the API, in vCenter and in the bucket")
    for fact in found:
        screen.fact(fact)
    screen.title("6  What the plugin reports, and how to go on")
    for result in facts.results(place.bucket, RESTORE):
        for note in result["notes"]:
            screen.say(f"{_SHORT[result['kind']]} {result['name']}: {note}")
        for command in result["next_commands"]:
            screen.say(f"to go on: {command}")
    screen.title(f"7  Where the capture and the results lie: s3://{place.bucket.name}/{facts.OURS}")
    screen.say(*(key.removeprefix(facts.OURS) for key in place.bucket.keys(facts.OURS)))


def _launches(screen: Screen, velero: Velero, *, good: bool) -> None:
    median = statistics.median(velero.launches) * 1000
    screen.title("Everything is as it must be" if good else "Not everything is as it must be")
    screen.say(
        f"{screen.elapsed:.0f} s. Velero executed the launcher {len(velero.launches)} times;"
        f" it was connected after {median:.0f} ms (median).",
        "Next: `make e2e`, with the real Velero.",
    )


def _log(screen: Screen, run: Run) -> None:
    """Print what the plugin wrote into the log of this backup or restore."""
    for line in run.log:
        if line.get("@level") != "debug" and "object" in line:
            more = line.get("reason") or line.get("finding") or ""
            screen.say(f"  {line['@message']}: {line['object']}{f': {more}' if more else ''}")


def _count(items: Sequence[Item]) -> str:
    counts = Counter(item.content["kind"] for item in items)
    return ", ".join(f"{kind} ({count})" for kind, count in counts.items()) or "nothing"
