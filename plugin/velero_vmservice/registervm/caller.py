"""RegisterVM on request: called once for each restored VM, after preflight, and followed to its end.

The call can be neither repeated nor cancelled. So it is recorded by a create before it is made, and a process
that finds another's record looks for the task instead of calling: a VM is never registered twice, wherever a
process dies and however many run. A failed attempt is final; only an explicit command makes another.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.errors import AlreadyExists, InvalidItem, NotSent, Unavailable, VmServiceError
from velero_vmservice.registervm import messages, preflight
from velero_vmservice.registervm.attempt import FAILED, SUCCEEDED, Attempt
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.vsphere import network_override
from velero_vmservice.vsphere.vm import Vms, is_same_task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.registervm.attempt_store import Attempts
    from velero_vmservice.registervm.policy import TriggerPolicy
    from velero_vmservice.registervm.preflight import Preflight
    from velero_vmservice.registervm.tracker import Following
    from velero_vmservice.registration.round_cache import Look, VsphereLooks
    from velero_vmservice.supervisor.vcenter_view import SupervisorViews
    from velero_vmservice.vsphere.ports import RegisterVm
    from velero_vmservice.vsphere.vm import RegisterTask, SupervisorView, VsphereVm

log = structlog.get_logger()

_REPEAT: Final = "see the VirtualMachine; if it has gone since, repeat the restore, which registers it anew"

_GIVEN_UP: Final = "it was given up for another attempt that a person asked for"
_LOOKED_AT_WITHIN: Final = timedelta(hours=1)
"""Longer than any look is old when a record is made: a task that the look has not seen was queued after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForRestore:
    """The restore on whose behalf RegisterVM is called."""

    uid: str
    name: str


class Trigger:
    """Calls and follows RegisterVM; one object serves every restore of a process, from several threads."""

    def __init__(
        self,
        *,
        clock: Clock,
        following: Following,
        attempts: Attempts,
        looks: VsphereLooks,
        register: RegisterVm,
        supervisor: SupervisorViews,
        policy: TriggerPolicy,
        holder: str,
    ) -> None:
        """Put together; `holder` MUST differ from process to process, restarts included."""
        self._clock = clock
        self._following = following
        self._attempts = attempts
        self._looks = looks
        self._register = register
        self._supervisor = supervisor
        self._policy = policy
        self._holder = holder
        self._lock = threading.Lock()
        self._called: set[str] = set()
        """Records for which this process has begun a call, before the call, until the record says so itself."""
        self._at_work: set[str] = set()
        """VMs that a thread of this process is calling for, by managed object id, whatever the restore."""

    @property
    def enabled(self) -> bool:
        """Whether the settings ask for calls at all."""
        return self._policy.mode == "trigger"

    def advance(
        self,
        restore: ForRestore,
        namespace: str,
        vms: Collection[ExpectedVm],
        look: Look | None = None,
        *,
        may_call: Collection[str] | None = None,
        until: float = float("inf"),
    ) -> Mapping[str, Registration]:
        """Call RegisterVM for those that may be called for and were not yet, follow the others; by name.

        `look` is what this round has seen already; vCenter is not looked into twice. `may_call` names whom it may
        be called for, None for all: whatever is registered is left alone and only followed. After `until` no more than
        one call is begun; whom nothing is said of is for the next round. Raises `Unavailable` and `Forbidden` as
        cluster and vCenter answer: the next round goes on.
        """
        if not self.enabled or not vms:
            return {}
        newest = self._following.newest(restore.uid)
        known = {name: attempt for (where, name), attempt in newest.items() if where == namespace}
        begun = [known[vm.name] for vm in vms if vm.name in known]
        registrations = self._following.advance(begun, look, until=until, follow=self._follow)
        if len(registrations) < len(begun):
            return registrations  # the time is over
        unknown = [vm for vm in vms if vm.name not in known]
        new = unknown if may_call is None else [vm for vm in unknown if vm.name in may_call]
        seen = look.vsphere if look is not None else None
        vsphere = self._looks.look(namespace, new, look) if new else seen
        if not unknown or vsphere is None:
            return registrations
        vcenter_vms = Vms(vsphere.machines)
        if look is not None:
            registrations |= self._adopt(restore, namespace, unknown, vcenter_vms, look)
        new = [vm for vm in new if vm.name not in registrations]
        return registrations | self._begin(restore, namespace, new, vcenter_vms, vsphere.supervisor, until=until)

    def foresee(
        self,
        namespace: str,
        vms: Collection[ExpectedVm],
        look: Look | None = None,
        *,
        may_call: Collection[str] | None = None,
        until: float = float("inf"),
    ) -> Mapping[str, Registration]:
        """Say what a restore that begins now would do for those that may be called for; nothing is called or recorded.

        Raises as `advance` does.
        """
        del until
        new = vms if may_call is None else [wanted for wanted in vms if wanted.name in may_call]
        seen = look.vsphere if look is not None else None
        vsphere = self._looks.look(namespace, new, look) if new else seen
        if vsphere is None:
            return {}
        vcenter_vms, now = Vms(vsphere.machines), self._clock.now()
        registrations: dict[str, Registration] = {}
        for wanted in vms:
            vm = next(iter(vcenter_vms.match(wanted)), None)
            if vm is not None and vm.task is not None and not vm.task.over:
                attempt = self._attempt(ForRestore(uid="", name=""), namespace, wanted, vm)
                registrations[wanted.name] = messages.progress(attempt, now, vm.task, task=vm.task.id)
        left = [wanted for wanted in new if wanted.name not in registrations]
        for wanted, checked in self._checked(namespace, left, vcenter_vms, vsphere.supervisor):
            registrations[wanted.name] = messages.foreseen(wanted.name, checked)
        return registrations

    def _adopt(
        self, restore: ForRestore, namespace: str, vms: Collection[ExpectedVm], vcenter_vms: Vms, look: Look
    ) -> dict[str, Registration]:
        """Follow a task that was begun elsewhere as if it were called here.

        So its end counts also once vCenter has forgotten it, and after a failure only a command calls.
        """
        registrations: dict[str, Registration] = {}
        for wanted in vms:
            vm = next(iter(vcenter_vms.match(wanted)), None)
            if vm is None or vm.task is None or vm.task.over:
                continue
            attempt = replace(self._attempt(restore, namespace, wanted, vm), task=vm.task.id)
            try:
                self._attempts.record(attempt)
            except InvalidItem as error:
                registrations[wanted.name] = messages.unreadable(wanted.name, error)
            else:
                registrations[wanted.name] = self._following.follow(attempt, look)
        return registrations

    def again(self, restore: ForRestore, namespace: str, vm: ExpectedVm) -> Registration:
        """Make a new attempt because a person asked for it.

        Raises `InvalidItem` while the last one is open: two at once are what must never be.
        """
        last = self._attempts.latest(restore.uid, namespace).get(vm.name)
        if last is not None:
            now = self._follow(last)
            if now.state is not State.FAILED or now.can_wait:
                raise InvalidItem(
                    f"RegisterVM is not called again for {namespace}/{vm.name}: attempt {last.number} is {now}",
                    hint=_REPEAT if now.state is State.REGISTERED else "wait for its end",
                )
        vsphere = self._looks.look(namespace, [vm])
        vcenter_vms = Vms(vsphere.machines)
        return self._begin(restore, namespace, [vm], vcenter_vms, vsphere.supervisor, asked=True, last=last)[vm.name]

    def _begin(
        self,
        restore: ForRestore,
        namespace: str,
        vms: Collection[ExpectedVm],
        vcenter_vms: Vms,
        supervisor: SupervisorView,
        *,
        asked: bool = False,
        last: Attempt | None = None,
        until: float = float("inf"),
    ) -> dict[str, Registration]:
        """Check the VMs at one look, and call for those that pass; after `until` for no more than one."""
        registrations: dict[str, Registration] = {}
        called = False
        for wanted, checked in self._checked(namespace, vms, vcenter_vms, supervisor, asked=asked):
            if checked.passed and (not called or self._clock.monotonic() <= until):
                called = True
                called_for = self._record_and_call(restore, namespace, wanted, checked, last)
                registrations[wanted.name] = replace(called_for, notes=(*called_for.notes, *checked.notes))
            elif not checked.passed:
                registrations[wanted.name] = messages.refused(wanted.name, checked)
        return registrations

    def _checked(
        self,
        namespace: str,
        vms: Collection[ExpectedVm],
        vcenter_vms: Vms,
        supervisor: SupervisorView,
        *,
        asked: bool = False,
    ) -> Iterator[tuple[ExpectedVm, Preflight]]:
        """Yield each VM with what speaks against a call; nothing is looked at for none."""
        override = self._policy.subnet_mappings
        vpc = self._supervisor.vpc(namespace) if override and vms else None
        for vm in vms:
            yield (
                vm,
                preflight.check(namespace, vm, vcenter_vms, supervisor, override=override, vpc=vpc, asked=asked),
            )

    def _record_and_call(
        self, restore: ForRestore, namespace: str, wanted: ExpectedVm, checked: Preflight, last: Attempt | None
    ) -> Registration:
        vm = checked.vm
        if vm is None:
            raise ValueError("a VM that passed the preflight was found")
        attempt = replace(
            self._attempt(restore, namespace, wanted, vm),
            number=last.number + 1 if last is not None else 1,
            network=network_override.planned(vm.record.interfaces, self._policy.subnet_mappings),
        )
        if last is not None and not self._attempts.give_up(last, _GIVEN_UP, self._clock.now()):
            raise InvalidItem(
                f"RegisterVM is not called again for {namespace}/{wanted.name}: attempt {last.number} was resumed just"
                " now",
                hint="wait for its end",
            )
        try:
            ours = self._attempts.record(attempt)
        except InvalidItem as error:
            return messages.unreadable(wanted.name, error)
        if not ours:
            return messages.another_process(attempt)
        return self._call(attempt)

    def _attempt(self, restore: ForRestore, namespace: str, wanted: ExpectedVm, vm: VsphereVm) -> Attempt:
        return Attempt(
            restore_uid=restore.uid,
            restore=restore.name,
            namespace=namespace,
            vm=wanted.name,
            moid=vm.moid,
            holder=self._holder,
            recorded_at=self._clock.now(),
            task_before=vm.task.id if vm.task is not None else "",
        )

    def _call(self, attempt: Attempt, *, anew: bool = False) -> Registration:
        """Make the one call of a record that is this process's own, unless another call for that VM is under way.

        `anew` says that the record was read, not made, just now: a command may have given it up meanwhile.
        """
        with self._lock:
            if attempt.name in self._called or attempt.moid in self._at_work:
                return messages.calling(attempt)
            self._at_work.add(attempt.moid)
        try:
            return self._call_alone(attempt, anew=anew)
        finally:
            with self._lock:
                self._at_work.discard(attempt.moid)

    def _call_alone(self, attempt: Attempt, *, anew: bool) -> Registration:
        """Look once more and call; the checks rest on a look that may be a while ago, and on no record but our own."""
        try:
            begun_task = self._begun_meanwhile(attempt)
            if begun_task is None and anew and not self._attempts.claim(attempt, self._clock.now()):
                return messages.another_process(attempt)
        except VmServiceError as error:
            return messages.not_sent(attempt, error)
        if begun_task is not None:
            self._following.begun(attempt, begun_task.id)
            return self._following.follow(replace(attempt, task=begun_task.id))
        with self._lock:
            self._called.add(attempt.name)
        return self._send(attempt)

    def _begun_meanwhile(self, attempt: Attempt) -> RegisterTask | None:
        """Return the task that a person, WCP or another restore has begun since the VM was checked."""
        newest = self._register.latest(attempt.moid, attempt.recorded_at - _LOOKED_AT_WITHIN)
        if newest is None or (newest.over and is_same_task(newest.id, attempt.task_before)):
            return None
        return newest

    def _send(self, attempt: Attempt) -> Registration:
        bound = log.bind(namespace=attempt.namespace, vm=attempt.vm, moid=attempt.moid, attempt=attempt.name)
        bound.info("calling RegisterVM")
        try:
            task = self._register.call(attempt.namespace, attempt.moid, self._policy.subnet_mappings)
        except NotSent as error:
            with self._lock:
                self._called.discard(attempt.name)
            return messages.not_sent(attempt, error)
        except Unavailable as error:
            bound.warning("RegisterVM did not answer", cause=error.message)
            return messages.no_answer(attempt, error)
        except AlreadyExists as error:
            return self._following.over(attempt, SUCCEEDED, error.message)
        except VmServiceError as error:
            bound.error("RegisterVM refused", cause=error.message)
            return self._following.over(attempt, FAILED, str(error))
        bound.info("RegisterVM called", task=task)
        self._following.begun(attempt, task)
        return messages.progress(attempt, self._clock.now(), None, task=task)

    def _follow(self, attempt: Attempt, look: Look | None = None) -> Registration:
        """Return where an attempt stands; make the call if this process has recorded it and not made it."""
        if attempt.over or attempt.task:  # the record itself prevents another call now
            with self._lock:
                self._called.discard(attempt.name)
        elif attempt.holder == self._holder and attempt.name not in self._called:
            if look is not None:
                look.check_vsphere()
            return self._call(attempt, anew=True)  # recorded and certainly not called
        return self._following.follow(attempt, look)
