"""What a plan says of each object is what the first rounds of a restore come to, for any state of the VMs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.applications import VMS, Application, applications
from tests.unit.builders import NAMESPACE, m, restore
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.errors import Rejected
from velero_vmservice.kube.manifest import VM_OPERATOR_GROUP
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import Action
from velero_vmservice.restore.source.backup_objects import run_of
from velero_vmservice.velero.runs import RestoreRun, replay_id
from velero_vmservice.vsphere.vm import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.unit.builders import Json
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.dry_run import Planned
    from velero_vmservice.restore.model import Step
    from velero_vmservice.restore.replay.operation import ReplayOperation

ROUNDS = 4
VM_STATES = ("lost", "kept", "registered", "paused", "another", "unreconciled", "deleted", "unlabelled")
VCENTER_STATES = ("absent", "restored", "running", "failed", "no record")
ENGINE_STATES = (None, *State)


@dataclass(frozen=True)
class Site:
    """What the target holds when the restore begins, and the sources that are asked about it."""

    application: Application
    vms: Mapping[str, str]
    vcenter: Mapping[str, str]
    engine: Mapping[str, State | None]
    sources: Sequence[str] = ()
    mode: str = "observe"
    deleting: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    """Objects that a webhook refuses."""


@st.composite
def sites(draw: st.DrawFn) -> Site:
    def each(states: Sequence[Any]) -> dict[str, Any]:
        return {name: draw(st.sampled_from(states)) for name in VMS}

    application = draw(applications())
    names = sorted({*application.parents, *application.selected})
    conflict = draw(st.sampled_from(["retain", "update", "fail"]))
    return Site(
        application=replace(application, policy={**application.policy, "conflict": conflict}),
        vms=each(VM_STATES),
        vcenter=each(VCENTER_STATES),
        engine=each(ENGINE_STATES),
        sources=draw(st.sampled_from([(), ("vcenter",), ("engine",), ("vcenter", "engine")])),
        mode=draw(st.sampled_from(["observe", "trigger"])),
        deleting=draw(st.frozensets(st.sampled_from(names), max_size=1)),
        refused=draw(st.frozensets(st.sampled_from(names), max_size=1)),
    )


def live(site: Site, name: str) -> Json | None:
    """Return the VirtualMachine as it is found."""
    state = site.vms[name]
    if state == "lost":
        return None
    uid = f"uid-of-{name}" if state == "kept" else "new"
    manifest = site.application.vm(name, uid=uid, paused=state == "paused")
    if state == "another":
        manifest["spec"]["instanceUUID"] = "other"
    if state == "unreconciled":
        manifest["status"]["conditions"] = []
    if state == "deleted":
        manifest["metadata"] |= {"deletionTimestamp": "2026-03-01T12:00:00Z", "finalizers": ["example.com/hold"]}
    if state == "unlabelled":
        manifest["metadata"]["labels"] = {}
    return manifest


def standing(site: Site) -> World:
    world = World(sources=site.sources, mode=site.mode)
    machines, objects = site.application.machines(), site.application.objects()
    world.back_up(*machines, *objects)
    world.lose(*machines, *objects)
    held = {"deletionTimestamp": "2026-03-01T12:00:00Z", "finalizers": ["example.com/hold"]}
    for manifest in site.application.there_before():
        gone = held if manifest["metadata"]["name"] in site.deleting else {}
        world.cluster.seed({**manifest, "metadata": {**manifest["metadata"], **gone}})
    world.cluster.seed(*filter(None, (live(site, name) for name in site.application.grouped)))
    for number, name in enumerate(site.application.grouped):
        tell(world, site, name, f"vm-{number}")
    world.cluster.admit = lambda manifest: refuse(manifest, site)
    world.cluster.calls.made.clear()
    world.clock.advance(60)
    return world


def refuse(manifest: Manifest, site: Site) -> None:
    if manifest.name in site.refused and manifest.group == VM_OPERATOR_GROUP:
        raise Rejected(f"admission webhook denied {manifest.name}")


def tell(world: World, site: Site, name: str, moid: str) -> None:
    """Let vCenter and the engine know a VM."""
    state = site.vcenter[name]
    if state != "absent":
        known: dict[str, Any] = {"record": None} if state == "no record" else {}
        world.vsphere.vcenter.restore(NAMESPACE, restored(moid, name, **known))
    if state in ("running", "failed"):
        task = world.vsphere.vcenter.call(NAMESPACE, moid, ())
        world.vsphere.vcenter.calls.made.clear()
        if state == "failed":
            world.vsphere.vcenter.set_task(task, TaskState.FAILED, message="no disk")
    if (engine_state := site.engine[name]) is not None:
        world.engine.tell(NAMESPACE, Registration(name=name, state=engine_state))


def planned(world: World, site: Site) -> Sequence[Planned]:
    made = run_of("nightly", namespace="velero", mapping={}, annotations=site.application.spec["annotations"])
    run = RestoreRun.read(made)
    app = world.app
    return app.planning.plan(app.backup_objects.captured(run, made.spec), run, app.replays.policy(run))


def begun(world: World, site: Site) -> Sequence[ReplayOperation]:
    """Return where the objects stand after the first rounds of a restore; VM Operator has done nothing yet."""
    world.restart()
    wanted = m(restore(started=world.clock.now().isoformat(), **site.application.spec))
    run = RestoreRun.read(wanted)
    for replay in world.app.backup_objects.captured(run, wanted.spec):
        world.app.replays.announce(replay_id(replay), replay, run)
    tasks: Sequence[ReplayOperation] = ()
    for _ in range(ROUNDS):
        tasks = world.app.replays.advance(run)
        world.clock.advance(10)
    return tasks


def agrees(step: Step, task: ReplayOperation) -> bool:
    """Say whether what was foreseen of an object is what became of it."""
    match step.action:
        case Action.CREATE | Action.UPDATE:
            return task.made.written and task.decision.action == step.action
        case Action.SKIP:
            return not task.made.written and task.decision.action == step.action
        case Action.RETAIN:
            return task.stage is Stage.RETAINED
        case Action.WAIT | Action.BLOCKED if not step.final:
            return task.stage is Stage.WAITING and not task.made.written
        case _:
            return task.stage is Stage.FAILED and step.reason in task.standing.reason


@settings(max_examples=60)
@given(sites())
def test_the_plan_is_what_a_restore_does(site: Site) -> None:
    world = standing(site)

    foreseen = {str(planned_object.ref): planned_object.step for planned_object in planned(world, site)}
    assert not world.writes()
    assert not world.vsphere.vcenter.calls.counts["call"]
    tasks = {str(task.replay.destination): task for task in begun(world, site)}

    wrong = {
        ref: (step.action, step.reason, tasks[ref].stage, tasks[ref].reason)
        for ref, step in foreseen.items()
        if not agrees(step, tasks[ref])
    }
    assert not wrong
    assert foreseen.keys() == tasks.keys()
