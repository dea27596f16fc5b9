"""RegisterVM on request: records one attempt for each restored VM that passes the preflight, then calls.

A failed attempt is final, for every run of its restore: only an explicit command makes another, unless the VADP
restore has brought the VM back anew. No error of the guide's table passes by itself, and RegisterVM is not idempotent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import InvalidItem
from velero_vmservice.registervm import messages, preflight
from velero_vmservice.registervm.attempt import FAILED, Attempt, ForRestore
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.vsphere import network_override
from velero_vmservice.vsphere.network_override import ChosenOverride, Origin
from velero_vmservice.vsphere.vm import Vms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.registervm.attempt_store import Attempts
    from velero_vmservice.registervm.policy import TriggerPolicy
    from velero_vmservice.registervm.preflight import Preflight
    from velero_vmservice.registervm.tracker import AttemptTracker
    from velero_vmservice.registration.sources import Look, VsphereLook, VsphereLooks
    from velero_vmservice.supervisor.observe import SupervisorViews
    from velero_vmservice.vsphere.vm import VsphereVm

_REPEAT: Final = "look at the VirtualMachine; if it has gone since, repeat the restore, which registers it anew"
_GIVEN_UP: Final = "it was given up for another attempt that a person asked for"


class Trigger:
    """Makes attempts and lets the tracker follow them; serves every restore of a process, in several threads."""

    def __init__(
        self,
        *,
        clock: Clock,
        tracker: AttemptTracker,
        attempts: Attempts,
        looks: VsphereLooks,
        supervisor: SupervisorViews,
        policy: TriggerPolicy,
    ) -> None:
        self._clock = clock
        self._tracker = tracker
        self._attempts = attempts
        self._looks = looks
        self._supervisor = supervisor
        self._policy = policy

    def calls_for(self, restore: ForRestore) -> bool:
        """Say whether a restore calls RegisterVM: by its own choice, or else by the settings."""
        return self._policy.mode == "trigger" if restore.calls is None else restore.calls

    def override_for(self, restore: ForRestore) -> ChosenOverride:
        """Return the network override of a restore's calls: its own, or else that of the settings."""
        if restore.override is not None:
            return ChosenOverride(mappings=restore.override, origin=Origin.RESTORE)
        return ChosenOverride(mappings=self._policy.subnet_mappings)

    def unfit_for(self, restore: ForRestore, namespaces: Collection[str]) -> Sequence[str]:
        """Return why the Supervisor or one of these namespaces does not support the override of a restore's calls."""
        chosen, generation = self.override_for(restore), self._supervisor.generation()
        if not chosen.mappings:
            return ()
        refusals = (
            refusal
            for namespace in namespaces
            for refusal in network_override.refusals(chosen, generation=generation, vpc=self._supervisor.vpc(namespace))
        )
        return tuple(dict.fromkeys(refusals))

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
        """Call RegisterVM for the allowed VMs without a call, follow the other calls; returns states by name.

        `look` is the earlier look of this round, so that vCenter is not read twice. `may_call` names the VMs for which
        calls are allowed, None for all; others are only followed. After `until` no more than one call is begun; a VM
        without an answer is left to the next round. Raises `Unavailable` and `Forbidden` from cluster and vCenter: the
        next round continues.
        """
        if not self.calls_for(restore) or not vms:
            return {}
        newest = self._attempts.newest(restore.uid)
        attempts = {vm.name: attempt for vm in vms if (attempt := newest.get((namespace, vm.name)))}
        earlier = {name: attempt for name, attempt in attempts.items() if attempt.is_earlier(restore)}
        known = [attempt for name, attempt in attempts.items() if name not in earlier]
        registrations = dict(self._tracker.advance(known, look, until=until, may_call=True))
        if len(registrations) < len(known):
            return registrations  # no time is left
        unknown = [vm for vm in vms if vm.name not in attempts or vm.name in earlier]
        new = unknown if may_call is None else [vm for vm in unknown if vm.name in may_call]
        failed = [vm for vm in unknown if vm.name in earlier and earlier[vm.name].outcome == FAILED]
        vsphere = self._vsphere(namespace, [*new, *(vm for vm in failed if vm not in new)], look)
        if not unknown or vsphere is None:
            return registrations
        vcenter_vms = Vms(vsphere.machines)
        if look is not None:
            registrations |= self._adopt(restore, namespace, unknown, vcenter_vms, look=look, earlier=earlier)
        registrations |= {
            vm.name: self._tracker.follow(earlier[vm.name], look)
            for vm in failed
            if vm.name not in registrations and _is_same_vm(earlier[vm.name], vm, vcenter_vms)
        }
        left = [vm for vm in new if vm.name not in registrations]
        checked = self._checked(restore, namespace, left, vcenter_vms, vsphere)
        return registrations | self._begin(restore, namespace, checked, earlier, until=until)

    def foresee(
        self,
        restore: ForRestore,
        namespace: str,
        vms: Collection[ExpectedVm],
        look: Look | None = None,
        *,
        may_call: Collection[str] | None = None,
    ) -> Mapping[str, Registration]:
        """Say what this restore would do now for the VMs in `may_call`, without calls and new records.

        Raises as `advance` does.
        """
        new = vms if may_call is None else [wanted for wanted in vms if wanted.name in may_call]
        vsphere = self._vsphere(namespace, new, look)
        if vsphere is None:
            return {}
        vcenter_vms, now = Vms(vsphere.machines), self._clock.now()
        newest = self._attempts.newest(restore.uid) if restore.uid else {}
        registrations: dict[str, Registration] = {}
        for wanted in vms:
            vm = next(iter(vcenter_vms.match(wanted)), None)
            last = newest.get((namespace, wanted.name))
            if vm is not None and vm.task is not None and not vm.task.over:
                attempt = self._attempt(restore, namespace, wanted, vm)
                registrations[wanted.name] = messages.progress(attempt, now, vm.task, task=vm.task.id)
            elif last is not None and last.outcome == FAILED and _is_same_vm(last, wanted, vcenter_vms):
                registrations[wanted.name] = messages.failed(last)
        left = [wanted for wanted in new if wanted.name not in registrations]
        for wanted, checked in self._checked(restore, namespace, left, vcenter_vms, vsphere):
            registrations[wanted.name] = messages.foreseen(wanted.name, checked)
        return registrations

    def again(self, restore: ForRestore, namespace: str, vm: ExpectedVm) -> Registration:
        """Make a new attempt for a user's command.

        Raises `InvalidItem` while the last one is open: two calls at once must never happen.
        """
        last = self._attempts.newest(restore.uid).get((namespace, vm.name))
        if last is not None:
            now = self._tracker.follow(last, may_call=True)
            if now.state is not State.FAILED or now.can_wait:
                raise InvalidItem(
                    f"RegisterVM is not called again for {namespace}/{vm.name}: attempt {last.number} is {now}",
                    hint=_REPEAT if now.state is State.REGISTERED else "wait for its end",
                )
        vsphere = self._looks.look(namespace, [vm])
        checked = self._checked(restore, namespace, [vm], Vms(vsphere.machines), vsphere, by_command=True)
        return self._begin(restore, namespace, checked, {vm.name: last} if last is not None else {})[vm.name]

    def _vsphere(self, namespace: str, new: Collection[ExpectedVm], look: Look | None) -> VsphereLook | None:
        """Look into vCenter if there are new VMs; otherwise return the earlier look of this round, if any."""
        if new:
            return self._looks.look(namespace, new, look)
        return look.vsphere if look is not None else None

    def _adopt(
        self,
        restore: ForRestore,
        namespace: str,
        vms: Collection[ExpectedVm],
        vcenter_vms: Vms,
        *,
        look: Look,
        earlier: Mapping[str, Attempt],
    ) -> dict[str, Registration]:
        """Follow a task of another caller like an own one.

        So its end still counts after vCenter has forgotten it, and after a failure only a command calls.
        """
        registrations: dict[str, Registration] = {}
        for wanted in vms:
            vm = next(iter(vcenter_vms.match(wanted)), None)
            if vm is None or vm.task is None or vm.task.over:
                continue
            number = _number_after(earlier.get(wanted.name))
            attempt = replace(self._attempt(restore, namespace, wanted, vm), number=number, task=vm.task.id)
            try:
                self._attempts.record(attempt)
            except InvalidItem as error:
                registrations[wanted.name] = messages.unreadable(wanted.name, error)
            else:
                registrations[wanted.name] = self._tracker.follow(attempt, look)
        return registrations

    def _checked(
        self,
        restore: ForRestore,
        namespace: str,
        vms: Collection[ExpectedVm],
        vcenter_vms: Vms,
        vsphere: VsphereLook,
        *,
        by_command: bool = False,
    ) -> Iterator[tuple[ExpectedVm, Preflight]]:
        """Yield each VM with the reasons against a call; without VMs there is no look."""
        override = self.override_for(restore)
        vpc = self._supervisor.vpc(namespace) if override.mappings and vms else None
        for vm in vms:
            checked = preflight.check(
                namespace, vm, vcenter_vms, vsphere.supervisor, override=override, vpc=vpc, by_command=by_command
            )
            yield vm, checked

    def _begin(
        self,
        restore: ForRestore,
        namespace: str,
        checked_vms: Iterator[tuple[ExpectedVm, Preflight]],
        last: Mapping[str, Attempt],
        *,
        until: float = float("inf"),
    ) -> dict[str, Registration]:
        """Call for the VMs that passed their checks; after `until` for no more than one.

        `last` holds the previous attempts, by VM.
        """
        registrations: dict[str, Registration] = {}
        called = False
        for wanted, checked in checked_vms:
            if not checked.passed:
                registrations[wanted.name] = messages.refused(wanted.name, checked)
            elif not called or self._clock.monotonic() <= until:
                called = True
                called_for = self._record_and_call(restore, namespace, wanted, checked, last.get(wanted.name))
                registrations[wanted.name] = replace(called_for, notes=(*called_for.notes, *checked.notes))
        return registrations

    def _record_and_call(
        self, restore: ForRestore, namespace: str, wanted: ExpectedVm, checked: Preflight, last: Attempt | None
    ) -> Registration:
        vm = checked.vm
        if vm is None:
            raise ValueError("a VM that passed the preflight was found")
        override = self.override_for(restore).mappings
        attempt = replace(
            self._attempt(restore, namespace, wanted, vm),
            number=_number_after(last),
            network=network_override.planned(vm.record.interfaces, override),
            override=override,
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
        return self._tracker.follow(attempt, may_call=True) if ours else messages.another_process(attempt)

    def _attempt(self, restore: ForRestore, namespace: str, wanted: ExpectedVm, vm: VsphereVm) -> Attempt:
        return Attempt(
            restore_uid=restore.uid,
            restore=restore.name,
            namespace=namespace,
            vm=wanted.name,
            moid=vm.moid,
            holder=self._tracker.holder,
            recorded_at=self._clock.now(),
            task_before=vm.task.id if vm.task is not None else "",
        )


def _is_same_vm(attempt: Attempt, wanted: ExpectedVm, vcenter_vms: Vms) -> bool:
    """Say whether the VM that vCenter has is the one of an attempt, and not one that was restored anew since."""
    return any(vm.moid == attempt.moid for vm in vcenter_vms.match(wanted)[:1])


def _number_after(last: Attempt | None) -> int:
    return last.number + 1 if last is not None else 1
