"""Carry out what was decided for one object, and record how far it has come."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from velero_vmservice.archive import schema
from velero_vmservice.errors import AlreadyExists, NotFound, Rejected, VmServiceError
from velero_vmservice.kube.manifest import VMS_ALONE, mapping, sequence
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import Action
from velero_vmservice.restore.plan import desired, power
from velero_vmservice.restore.policy import passed_deadline
from velero_vmservice.restore.replay.session import RECALLING
from velero_vmservice.restore.verify import application
from velero_vmservice.restore.writer import Writer
from velero_vmservice.text import enumerate_some
from velero_vmservice.vmoperator import releases

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.model import Step
    from velero_vmservice.restore.plan.power import PowerStep
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.session import Session
    from velero_vmservice.restore.replay.turn import Turn
    from velero_vmservice.restore.verify.application import Verification

PROBE_SECONDS: Final = 1.0
"""How long one connection may take; the next poll tries again."""
PROBES: Final = 3
"""Connections per poll, so that a poll stays short; the ports that answered are not asked again."""


class TcpProbe(Protocol):
    """Tries whether a load balancer's port is served."""

    def connect(self, host: str, port: int, *, seconds: float) -> str:
        """Connect within `seconds`; return '' if the port answers, else why not, as a clause. Never raises."""


class Steps:
    """Carries out decisions; what is left undone by a fault is decided again at the next look."""

    def __init__(self, *, cluster: Cluster, probe: TcpProbe) -> None:
        self._cluster = cluster
        self._writer = Writer(cluster)
        self._probe = probe

    def take(self, turn: Turn, step: Step, *, replayed: bool) -> None:
        """Carry out one decision and give up on what its stage's deadline has passed for.

        `replayed` says that the object is there through this restore, which an earlier process may have done.
        """
        operation = turn.operation
        operation.take(step)
        match step.action:
            case Action.WAIT | Action.BLOCKED if not step.final:
                reason = f"blocked: {step.reason}" if step.action is Action.BLOCKED else step.reason
                made_before = replayed and operation.stage is Stage.WAITING
                operation.tell(reason, stage=Stage.REPLAYED if made_before else None)
            case Action.CREATE | Action.UPDATE:
                self._write(turn, step)
            case Action.SKIP:
                self._verify(turn, step)
            case Action.RETAIN:
                operation.tell(step.reason, stage=Stage.RETAINED)
            case _:
                operation.fail(f"{step.action}: {step.reason}")
        late = _late(turn.session, operation)
        if late and not step.settling:  # a process that has just begun has to look twice
            operation.fail(f"{late}: {operation.standing.reason}")

    def wait_undecided(self, session: Session, operation: ReplayOperation, why: str) -> bool:
        """Wait until the object can be read and its namespace observed, at most as long as its stage may take.

        An earlier process may have replayed it before it could not be read any more: its VMs are then not late.
        Return False where the cluster is away, so that this is judged in a later round.
        """
        operation.tell(why)
        if not (late := _late(session, operation)):
            return True
        try:
            replayed = operation.stage is Stage.WAITING and self._is_there(session, operation)
        except VmServiceError:
            return False
        if replayed:
            operation.tell(why, stage=Stage.REPLAYED)
        else:
            operation.fail(f"{late}: {why}")
        return True

    def wait_blind(self, session: Session, until: float) -> None:
        """Record why namespaces cannot be observed: what lasts, or is not put right by the deadline, ends the object.

        A cluster that is away is asked again without end: nothing is known meanwhile of what became of the VMs.
        """
        for operation in session.open():
            namespace, now = session.namespace(operation), session.clock.monotonic()
            if operation.subject is None or namespace is None or namespace.problem is None:
                continue
            why = f"{namespace.name} cannot be observed: {namespace.problem}"
            operation.standing = replace(operation.standing, remedy=namespace.problem.remedy, held_by=())
            operation.deny(namespace.problem)
            if session.incidents.last(namespace.name, now=now):
                operation.fail(why)
            elif namespace.problem.transient or now > until:
                operation.tell(why)
            elif not self.wait_undecided(session, operation, why):
                return

    def _is_there(self, session: Session, operation: ReplayOperation) -> bool:
        """Say whether this restore has replayed the object, as far as it may be looked at; raises what passes."""
        if operation.replay.kind == VMS_ALONE:
            return False
        try:
            return desired.made_by(session.run, self._cluster.get(operation.replay.destination))
        except VmServiceError as error:
            if error.transient:
                raise
            return False

    def _write(self, turn: Turn, step: Step) -> None:
        """Create or update the object; what the API server refuses is final, rights may be granted meanwhile."""
        operation = turn.operation
        try:
            self._writer.replay(turn.subject, turn.live)
        except (AlreadyExists, NotFound) as error:
            operation.tell(f"observed again: {error.message}")
        except VmServiceError as error:
            operation.trouble(error, stage=None if error.passing else Stage.FAILED)
        else:
            operation.made = replace(operation.made, written=True, replayed=True)
            change = "created" if step.action is Action.CREATE else f"updated, as it {step.reason}"
            operation.tell(f"{change}; waiting for VM Operator to take it up", stage=Stage.REPLAYED)

    def _verify(self, turn: Turn, step: Step) -> None:
        """Compare the object with what was captured, then power on what the policy asks for, or end."""
        operation, later = turn.operation, turn.policy.power != "leave"
        if turn.subject.ref.kind == VMS_ALONE and not later:  # whatever else there is makes no difference to them
            _conclude(turn, _compare(turn), step)
        elif reason := turn.unknown() or ("" if turn.session.earlier is not None else RECALLING):
            linking = operation.stage is not Stage.POWERING and turn.subject.ref.kind != VMS_ALONE
            operation.tell(reason, stage=Stage.REPLAYED if linking else Stage.POWERING)
            operation.give_time()
        else:
            self._verify_whole(turn, step, later=later)

    def _verify_whole(self, turn: Turn, step: Step, *, later: bool) -> None:
        """Do so once all that the restore replays is known; `later` says that this restore powers VMs on."""
        operation, verification = turn.operation, _compare(turn)
        # A restore that powers VMs on waits for their addresses after that.
        open_yet = verification.missing if later else (*verification.missing, *verification.waiting)
        if open_yet and operation.stage is not Stage.POWERING:
            operation.tell(enumerate_some(list(open_yet)), stage=Stage.REPLAYED)
            if verification.replay_pending:
                operation.give_time()
        elif later and turn.subject.is_group and verification.lacking:
            # its members wait for its power, and it gets none
            operation.tell(enumerate_some(list(verification.lacking)), stage=Stage.INCOMPLETE)
        else:
            self._power_on(turn, step, verification)

    def _power_on(self, turn: Turn, step: Step, verification: Verification) -> None:
        """Ask for the power that the policy wants, and end once nothing is waited for."""
        operation, decided = turn.operation, power.decide(turn.subject, turn.powering())
        problems = self._ask_for_power(turn, decided)
        waiting = list(dict.fromkeys((*problems, *decided.waiting, *verification.missing, *verification.waiting)))
        if not waiting and turn.policy.probe == "tcp" and verification.endpoints:
            waiting = self._probe_ports(turn)
        operation.verified = replace(operation.verified, notes=(*operation.verified.notes, *decided.notes))
        if waiting:
            operation.tell(enumerate_some(waiting), stage=Stage.POWERING)
            if decided.to_come or verification.replay_pending:
                operation.give_time()
        else:
            _conclude(turn, verification, step)

    def _ask_for_power(self, turn: Turn, decided: PowerStep) -> list[str]:
        """Ask for power, at the object's own API version if it has one; return what is to be asked again."""
        problems = []
        for wish in decided.wishes:
            try:
                served = turn.subject.wanted.version or releases.newest(self._cluster.served_versions(wish.ref.kind))
                self._writer.ask_for_power(wish, served or "")
            except Rejected as error:
                problems.append(f"{wish.ref} cannot be powered on: {error}")
            except VmServiceError as error:
                problems.append(str(error))
                turn.operation.deny(error)
            else:
                turn.session.powered.setdefault(wish.ref, turn.session.clock.monotonic())
                turn.operation.tell(f"power asked for through {wish.ref}", stage=Stage.POWERING)
        return problems

    def _probe_ports(self, turn: Turn) -> list[str]:
        """Connect to the load balancer from where the plugin runs; return the ports that do not answer yet."""
        live, answers = turn.observed.services.get(turn.subject.ref.name), turn.operation.probes
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
        silent = [(host, port) for host in addresses for port in ports if answers.get((host, port)) != ""]
        for host, port in silent[:PROBES]:
            answers[host, port] = self._probe.connect(host, port, seconds=PROBE_SECONDS)
        return [
            f"{host}:{port} {answers.get((host, port)) or 'is still to be probed'}"
            for host, port in silent
            if answers.get((host, port)) != ""
        ]


def _late(session: Session, operation: ReplayOperation) -> str:
    """Say which deadline of the policy an operation has passed, or ''."""
    since = operation.standing.since or operation.started
    return passed_deadline(operation.stage, since, session.run, session.policy, now=session.clock.now())


def _compare(turn: Turn) -> Verification:
    """Compare the object with what VM Operator has made of it, and remember the outcome."""
    verification = application.verify(
        turn.subject,
        turn.observed,
        turn.source.before,
        groups=turn.group_stages(),
        powered_later=turn.policy.power != "leave",
    )
    turn.operation.verified = replace(turn.operation.verified, notes=verification.notes, verification=verification)
    return verification


def _conclude(turn: Turn, verification: Verification, step: Step) -> None:
    """Judge an object once nothing of its own is waited for."""
    operation = turn.operation
    if verification.below:
        powering = turn.policy.power != "leave" or operation.stage is Stage.POWERING
        operation.tell(enumerate_some(list(verification.below)), stage=Stage.POWERING if powering else Stage.REPLAYED)
        operation.give_time()
    elif verification.lacking:
        operation.tell(enumerate_some(list(verification.lacking)), stage=Stage.INCOMPLETE)
    else:
        operation.tell(step.reason or "as expected", stage=Stage.VERIFIED)
