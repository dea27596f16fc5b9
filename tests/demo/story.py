"""The demo from beginning to end: backed up, lost, planned, registered, replayed, refused, resumed, verified."""

from __future__ import annotations

import shutil
import statistics
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.tree import Tree

from tests.demo import application, command, facts, without
from tests.demo.application import NAMESPACE
from tests.demo.returning import RETURNS, Returning
from tests.demo.screen import ObjectRow, VmRow
from tests.demo.velero import Velero
from tests.emulator.vm_operator.vm_controller import PAUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.demo.application import Snapshot
    from tests.demo.place import Place
    from tests.demo.screen import Screen
    from tests.demo.velero import Item, Run, State
    from tests.emulator.vadp import RestorePoint

Json = dict[str, Any]

BACKUP, RESTORE = "nightly", "nightly-restored"
REPORT: Final = Path(__file__).parents[2] / ".build" / "demo" / "report.html"
"""Where the report stays when everything else of the demo is gone."""
_SHORT = {"VirtualMachineGroup": "group", "VirtualMachineService": "service", "VirtualMachine": "VM"}


def tell(screen: Screen, place: Place) -> bool:
    """Play the whole story; return whether everything ended as it must."""
    velero = Velero(place)
    _stage(screen, place, velero)
    before = _deploy(screen, place)
    point = place.supervisor.back_up(NAMESPACE)
    alone = without.back_up(velero)
    backup, sealed = _back_up(screen, velero)
    place.supervisor.lose(NAMESPACE)
    without.show(screen, place, velero, alone, point)
    place.api.forget_calls()
    _plan(screen, place)
    restore, states = _restore(screen, place, velero, backup, point)
    restore.record = velero.objects.end(restore.record, "PartiallyFailed")
    resumed = _resume(screen, place, restore) if any(state.error for state in states) else None
    observed = facts.look(place, before, restore, states, resumed=resumed)
    good = sealed and all(fact.holds for fact in observed)
    _end(screen, place, observed)
    _launches(screen, velero, good=good)
    return good


def _stage(screen: Screen, place: Place, velero: Velero) -> None:
    screen.title("The stage")
    screen.say(
        "Real: the plugin's sidecar, its launcher, which Velero executes, its command line, and the plugin protocol.",
        "Emulated: Velero, the Kubernetes API (kmock), S3 (moto), and the Supervisor with VM Operator, RegisterVM and"
        " vCenter. `make e2e` uses the real Velero, API server and S3 server.",
        "What takes minutes on a Supervisor takes seconds here.",
        hang=0,
    )
    velero.objects.install(place.bucket)
    actions = ", ".join(sorted(plugin.name.rpartition("/")[2] for plugin in velero.start()))
    screen.say(
        "",
        f"sidecar         velero-vmservice serve, process {place.sidecar.pid}",
        f"launcher        {place.launcher.name}, {place.launcher.stat().st_size} bytes",
        f"its actions     {actions}",
        f"Kubernetes API  {place.api.url}",
        f"S3              {place.bucket.url}, bucket {place.bucket.name}",
        hang=16,
    )


def _deploy(screen: Screen, place: Place) -> Snapshot:
    screen.title("1  An application runs")
    before = application.deploy(place.supervisor)
    screen.draw(_tree(before))
    return before


def _tree(snapshot: Snapshot) -> Tree:
    tree = Tree(f"namespace {NAMESPACE}")
    parents: dict[str, Tree] = {"": tree}
    for name, group in sorted(snapshot.groups.items(), key=lambda entry: entry[1]["spec"].get("groupName", "")):
        parents[name] = parents[group["spec"].get("groupName", "")].add(f"group {name}")
    for name, machine in snapshot.machines.items():
        volumes = [volume["name"] for volume in machine["spec"].get("volumes") or ()]
        disks = f", disk {', '.join(volumes)}" if volumes else ""
        parents[machine["spec"]["groupName"]].add(f"VM {name}, {machine['status']['powerState']}{disks}")
    for name, service in snapshot.services.items():
        address = snapshot.address(name)
        endpoints = ", ".join(application.addresses(snapshot.endpoints[name]))
        tree.add(f"service {name}, {service['spec']['type']}{f' {address}' if address else ''} → {endpoints}")
    return tree


def _back_up(screen: Screen, velero: Velero) -> tuple[Run, bool]:
    screen.title("2  It is backed up, and lost")
    screen.say("A VADP job saves the VMs with their disks; Velero backs up the namespace. The plugin logs:", hang=0)
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
    screen.say(*dict.fromkeys(state.error or state.description for state in states))
    good = bool(states) and all(state.completed and not state.error for state in states)
    run.record = velero.objects.end(run.record, "Completed" if good else "PartiallyFailed")
    screen.say("Then the namespace loses its VMs, groups, services and disks.")
    return run, good


def _plan(screen: Screen, place: Place) -> None:
    screen.title("4  What a restore would do now")
    command.run(screen, place, "plan", BACKUP)


def _restore(
    screen: Screen, place: Place, velero: Velero, backup: Run, point: RestorePoint
) -> tuple[Run, Sequence[State]]:
    screen.title("5  It is restored, while its VMs come back one after the other")
    screen.say("Velero restores what the backup holds, but for what the plugin takes over:")
    run = velero.restore(RESTORE, backup)
    _log(screen, run)
    screen.say(
        "",
        "The VADP vendor is slow with shop-web-2, and the platform team refuses new load balancers for a while.",
        "Velero asks how far it is: every second here, every 10 seconds on a cluster.",
        hang=0,
    )
    place.freeze.in_force = True
    states: Sequence[State] = ()
    with Returning(place.supervisor, point) as returning, screen.watch() as watch:
        for heard in velero.poll(run):
            states = heard
            returning.hear("\n".join(state.description for state in states))
            watch.show(list(_vm_rows(place, returning)), [_object_row(state) for state in states])
    return run, states


def _vm_rows(place: Place, returning: Returning) -> Iterator[VmRow]:
    snapshot = application.look(place.supervisor.cluster)
    for back in RETURNS:
        yield VmRow(
            name=f"VM {back.name}",
            vcenter=returning.progress(back.name) or "not restored",
            kubernetes=_standing(snapshot.machines.get(back.name), snapshot.claims),
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


def _resume(screen: Screen, place: Place, restore: Run) -> int:
    screen.title("6  The cause is mended, and the restore goes on")
    place.freeze.in_force = False
    screen.say(
        f"Velero's Restore is {restore.record['status']['phase']}. The platform team ends its freeze, and the"
        " restore goes on; what is restored already stays as it is.",
        hang=0,
    )
    return command.run(screen, place, "restore", "--resume", RESTORE, "--timeout", "2m")


def _end(screen: Screen, place: Place, observed: Sequence[facts.Fact]) -> None:
    screen.title("7  What is there, looked at in the API, in vCenter and in the bucket")
    for fact in observed:
        screen.fact(fact)
    screen.title(f"8  What is kept in s3://{place.bucket.name}/{facts.OURS}")
    folder = ""
    for key in place.bucket.keys(facts.OURS):
        kind, name, started, *rest = key.removeprefix(facts.OURS).split("/")
        if folder != f"{kind}/{name}/{started}/":
            folder = f"{kind}/{name}/{started}/"
            screen.say_as_it_is(folder)
        screen.say_as_it_is(f"  {'/'.join(rest)}")
    pages = facts.reports(place.bucket, RESTORE, "report.html")
    if not pages:
        return
    shutil.rmtree(REPORT.parent, ignore_errors=True)
    REPORT.parent.mkdir(parents=True)
    REPORT.write_bytes(place.bucket.read(pages[-1]))
    shown = REPORT.relative_to(Path.cwd()) if REPORT.is_relative_to(Path.cwd()) else REPORT
    screen.say("", "The report of the whole restore stays here; open it with:")
    screen.say_as_it_is(f"xdg-open {shown}", style="bold")


def _launches(screen: Screen, velero: Velero, *, good: bool) -> None:
    median = statistics.median(velero.launches) * 1000
    screen.title("Everything is as it must be" if good else "Not everything is as it must be")
    screen.say(
        f"{screen.elapsed:.0f} s. Velero executed the launcher {len(velero.launches)} times;"
        f" it was connected after {median:.0f} ms (median).",
        "Next: `make e2e`, with the real Velero.",
        hang=0,
    )


def _log(screen: Screen, run: Run) -> None:
    """Print what the plugin wrote into the log of this backup or restore; objects of one message share a line."""
    alike: dict[str, list[str]] = {}
    for line in run.log:
        if line.get("@level") != "debug" and "object" in line:
            reason = line.get("reason", "")
            alike.setdefault(f"{line['@message']}{f' ({reason})' if reason else ''}", []).append(line["object"])
    for message, objects in alike.items():
        screen.say(f"  {message}: {', '.join(objects)}", hang=4)


def _count(items: Sequence[Item]) -> str:
    counts = Counter(item.content["kind"] for item in items)
    return ", ".join(f"{kind} ({count})" for kind, count in counts.items()) or "nothing"
