"""Do what was decided for one object, and tell how far it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.archive import schema
from velero_vmservice.errors import AlreadyExists, NotFound, Rejected, VmServiceError
from velero_vmservice.kube.manifest import VMS_ALONE, mapping, sequence
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import Action
from velero_vmservice.restore.plan import desired, power
from velero_vmservice.restore.policy import passed_deadline
from velero_vmservice.restore.replay.session import RECALLING
from velero_vmservice.restore.replay.writer import Writer
from velero_vmservice.restore.verify import application
from velero_vmservice.text import enumerate_some
from velero_vmservice.vmoperator.releases import api_versions

if TYPE_CHECKING:
    from datetime import datetime

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.model import Step, Subject
    from velero_vmservice.restore.plan.power import PowerStep
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.port import TcpProbe
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.session import Rounds
    from velero_vmservice.restore.verify.application import Verification
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import RestoreRun


class Steps:
    """Carries out decisions; what is left undone by a fault is decided again at the next look."""

    def __init__(self, *, cluster: Cluster, clock: Clock, probing: Probing) -> None:
        self._cluster = cluster
        self._clock = clock
        self._writer = Writer(cluster)
        self._probing = probing

    def take(
        self, task: ReplayOperation, subject: Subject, step: Step, *, replayed: bool, rounds: Rounds, run: RestoreRun
    ) -> None:
        """Carry out one decision and give up on what its stage's deadline has passed for.

        `replayed` says that the object is there through this restore, which an earlier process may have done.
        """
        task.take(step)
        now = self._clock.now()
        match step.action:
            case Action.WAIT | Action.BLOCKED if not step.final:
                reason = f"blocked: {step.reason}" if step.action is Action.BLOCKED else step.reason
                task.tell(reason, now, stage=Stage.REPLAYED if replayed and task.stage is Stage.WAITING else None)
            case Action.CREATE | Action.UPDATE:
                observed = rounds.namespaces[subject.ref.namespace].observed
                self._write(task, subject, step, observed.live(subject.ref) if observed else None)
            case Action.SKIP:
                self._verify(task, subject, step, rounds=rounds, run=run)
            case Action.RETAIN:
                task.tell(step.reason, now, stage=Stage.RETAINED)
            case _:
                task.tell(f"{step.action}: {step.reason}", now, stage=Stage.FAILED)
        reason = self._late(task, run, rounds.policy)
        if reason and not step.settling:  # a process that has just begun has to look twice
            task.tell(f"{reason}: {task.reason}", now, stage=Stage.FAILED)

    def wait_undecided(self, task: ReplayOperation, why: str, run: RestoreRun, policy: RestorePolicy) -> bool:
        """Wait until the object can be read and its namespace observed, at most as long as its stage may take.

        An earlier process may have replayed it before it could not be read any more: its VMs are then not late.
        Return False where the cluster is away, so that this is judged in a later round.
        """
        task.tell(why, self._clock.now())
        if not (late := self._late(task, run, policy)):
            return True
        try:
            replayed = task.stage is Stage.WAITING and self._is_there(task, run)
        except VmServiceError:
            return False
        if replayed:
            task.tell(why, self._clock.now(), stage=Stage.REPLAYED)
        else:
            task.tell(f"{late}: {why}", self._clock.now(), stage=Stage.FAILED)
        return True

    def _is_there(self, task: ReplayOperation, run: RestoreRun) -> bool:
        """Say whether this restore has replayed the object, as far as it may be looked at; raises what passes."""
        if task.replay.kind == VMS_ALONE:
            return False
        try:
            return desired.made_by(run, self._cluster.get(task.replay.destination))
        except VmServiceError as error:
            if error.transient:
                raise
            return False

    def _late(self, task: ReplayOperation, run: RestoreRun, policy: RestorePolicy) -> str:
        return passed_deadline(task.stage, task.since or task.started, run, policy, now=self._clock.now())

    def _write(self, task: ReplayOperation, subject: Subject, step: Step, live: Manifest | None) -> None:
        """Create or update the object; what the API server refuses is final, rights may be granted meanwhile."""
        now = self._clock.now()
        try:
            self._writer.replay(subject, live)
        except (AlreadyExists, NotFound) as error:
            task.tell(f"observed again: {error.message}", now)
        except VmServiceError as error:
            task.trouble(error, now, stage=None if error.passing else Stage.FAILED)
        else:
            done = "created" if step.action is Action.CREATE else f"updated, as it {step.reason}"
            task.written = task.replayed = True
            task.tell(f"{done}; waiting for VM Operator to take it up", now, stage=Stage.REPLAYED)

    def _verify(self, task: ReplayOperation, subject: Subject, step: Step, *, rounds: Rounds, run: RestoreRun) -> None:
        observed = rounds.namespaces[subject.ref.namespace].observed
        if observed is None or task.before is None:
            return
        now = self._clock.now()
        later = rounds.policy.power != "leave"
        if subject.ref.kind == VMS_ALONE and not later:  # whatever else there is makes no difference to them
            task.verification = application.verify(subject, observed, task.before)
            task.notes = task.verification.notes
            _conclude(task, task.verification, step, now, powers=False)
            return
        if reason := rounds.unknown(task) or ("" if rounds.earlier is not None else RECALLING):
            replayed = task.stage is not Stage.POWERING and subject.ref.kind != VMS_ALONE
            task.tell(reason, now, stage=Stage.REPLAYED if replayed else Stage.POWERING)
            task.give_time(now)
            return
        powering = rounds.powering(task, run, observed)
        groups = rounds.groups(subject.ref.namespace)
        verification = application.verify(subject, observed, task.before, groups=groups, powered_later=later)
        task.notes, task.verification = verification.notes, verification
        # A restore that powers VMs on waits for their addresses after that.
        open_yet = verification.missing if later else (*verification.missing, *verification.waiting)
        if open_yet and task.stage is not Stage.POWERING:
            task.tell(enumerate_some(list(open_yet)), now, stage=Stage.REPLAYED)
            if verification.replay_pending:
                task.give_time(now)
            return
        if later and subject.is_group and verification.lacking:  # its members wait for its power, and it gets none
            task.tell(enumerate_some(list(verification.lacking)), now, stage=Stage.INCOMPLETE)
            return
        decided = power.decide(subject, powering)
        problems = self._power(task, decided, subject.wanted.version, rounds)
        waiting = list(dict.fromkeys((*problems, *decided.waiting, *verification.missing, *verification.waiting)))
        if not waiting and rounds.policy.probe == "tcp" and verification.endpoints:
            waiting = self._probing.probe(task, subject, observed)
        task.notes = (*task.notes, *decided.notes)
        if waiting:
            task.tell(enumerate_some(waiting), now, stage=Stage.POWERING)
            if decided.to_come or verification.replay_pending:
                task.give_time(now)
        else:
            _conclude(task, verification, step, now, powers=later)

    def _power(self, task: ReplayOperation, decided: PowerStep, version: str, rounds: Rounds) -> list[str]:
        """Ask for power, at the object's own API version if it has one; say what is to be asked again."""
        problems = []
        for wish in decided.wishes:
            try:
                newest = version or api_versions.newest(self._cluster.served_versions(wish.ref.kind)) or ""
                self._writer.ask_for_power(wish, newest)
            except Rejected as error:
                problems.append(f"{wish.ref} cannot be powered on: {error}")
            except VmServiceError as error:
                problems.append(str(error))
            else:
                rounds.powered.setdefault(wish.ref, self._clock.monotonic())
                task.tell(f"power asked for through {wish.ref}", self._clock.now(), stage=Stage.POWERING)
        return problems


def _conclude(task: ReplayOperation, verification: Verification, step: Step, now: datetime, *, powers: bool) -> None:
    """Judge an object that nothing of its own is waited for any more."""
    if verification.below:
        powering = powers or task.stage is Stage.POWERING
        task.tell(enumerate_some(list(verification.below)), now, stage=Stage.POWERING if powering else Stage.REPLAYED)
        task.give_time(now)
    elif verification.lacking:
        task.tell(enumerate_some(list(verification.lacking)), now, stage=Stage.INCOMPLETE)
    else:
        task.tell(step.reason or "as expected", now, stage=Stage.VERIFIED)


SECONDS: Final = 1.0
"""How long one connection may take; the next poll tries again."""
MOST: Final = 3
"""Connections per poll, so that a poll stays short; the ports that answered are not asked again."""


class Probing:
    """Connects to load balancers."""

    def __init__(self, tcp: TcpProbe) -> None:
        self._tcp = tcp

    def probe(self, task: ReplayOperation, subject: Subject, observed: NamespaceState) -> list[str]:
        """Return what does not answer yet, in words; what does is kept with the task."""
        live = observed.services.get(subject.ref.name)
        if live is None or live.spec.get("type") != "LoadBalancer":
            return []
        addresses = schema.observed(live).load_balancer
        if not addresses:
            return ["the load balancer has no address yet"]
        ports = [
            int(mapping(port)["port"])
            for port in sequence(live.spec.get("ports"))
            if mapping(port).get("protocol", "TCP") == "TCP" and isinstance(mapping(port).get("port"), int)
        ]
        silent = [(host, port) for host in addresses for port in ports if task.probes.get((host, port)) != ""]
        for host, port in silent[:MOST]:
            task.probes[host, port] = self._tcp.connect(host, port, seconds=SECONDS)
        return [
            f"{host}:{port} {task.probes.get((host, port)) or 'is still to be probed'}"
            for host, port in silent
            if task.probes.get((host, port)) != ""
        ]
