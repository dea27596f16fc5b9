"""The state of an attempt to register a VM, as a registration."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from velero_vmservice.registervm.attempt import COMMAND
from velero_vmservice.registration import from_vcenter
from velero_vmservice.registration.model import Registration, Source, State
from velero_vmservice.text import one_line
from velero_vmservice.vsphere.registervm_errors import explain
from velero_vmservice.vsphere.vm import TaskState
from velero_vmservice.vsphere.wcp import TIMEOUT_SECONDS, bounded, overlong

if TYPE_CHECKING:
    from datetime import datetime

    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.registervm.attempt import Attempt
    from velero_vmservice.registervm.preflight import Preflight
    from velero_vmservice.vsphere.vm import RegisterTask, VsphereVm

_LONGEST_KEPT: Final = 4 * 1024
"""The most characters of a failure in the record."""

_registration = partial(Registration, sources=(Source.TRIGGER,))


def refused(name: str, checked: Preflight) -> Registration:
    """Say why RegisterVM is not called."""
    vm = checked.vm
    reason = f"RegisterVM is not called: {checked.reason}"
    if checked.done:  # only Kubernetes can tell whether it is ready
        return _registration(name=name, state=State.REGISTERED, reason=reason, notes=checked.notes, certain=False)
    state = _refused_state(vm, checked)
    code = next((refusal.code for refusal in checked.refusals if refusal.code), "")
    # Only Kubernetes knows whether a VM that vCenter lacks is absent.
    return _registration(
        name=name,
        state=state,
        reason=reason,
        code=code,
        can_wait=checked.can_wait,
        notes=checked.notes,
        certain=vm is not None,
    )


def foreseen(name: str, checked: Preflight) -> Registration:
    """Say what a restore would do at its first look: call, or not, with the reason."""
    if not checked.passed or checked.vm is None:
        return refused(name, checked)
    reason = f"a restore calls RegisterVM for {checked.vm.moid}"
    return _registration(name=name, state=State.RESTORED, reason=reason, notes=checked.notes)


def _refused_state(vm: VsphereVm | None, checked: Preflight) -> State:
    if vm is None:
        return State.ABSENT
    if vm.task is not None and not vm.task.over:
        return State.REGISTERING
    if vm.has_failed and not vm.restoring and not checked.can_wait:
        return State.FAILED
    return State.RESTORED if checked.can_wait else State.NOT_RESTORABLE


def unreadable(name: str, error: VmServiceError) -> Registration:
    """Say that it is unknown whether the call was made."""
    return _registration(name=name, state=State.FAILED, reason=f"RegisterVM is not called: {error}", can_wait=False)


def another_process(attempt: Attempt) -> Registration:
    """Say that another process makes the call."""
    return _registering(attempt, f"another process calls RegisterVM for {attempt.moid} (record {attempt.name})")


def calling(attempt: Attempt) -> Registration:
    """Say that another thread is making the call."""
    return _registering(attempt, f"RegisterVM is being called for {attempt.moid}")


def not_sent(attempt: Attempt, error: VmServiceError) -> Registration:
    """Say that the call is still to be made."""
    reason = f"RegisterVM is still to be called for {attempt.moid}: {error}"
    return _registration(name=attempt.vm, state=State.RESTORED, reason=reason)


def no_answer(attempt: Attempt, error: VmServiceError) -> Registration:
    """Say that it is unknown whether vCenter received the call."""
    return _registering(
        attempt, f"RegisterVM was called for {attempt.moid} without an answer; looking for its task: {error}"
    )


def progress(attempt: Attempt, now: datetime, answer: RegisterTask | None, *, task: str) -> Registration:
    """Return the progress of an attempt with an open outcome."""
    late = _late(attempt, now)
    minutes = int(TIMEOUT_SECONDS // 60)
    known = answer is not None and answer.state is not TaskState.UNKNOWN
    if not task and late:
        reason = (
            f"RegisterVM was to be called for {attempt.moid} more than {minutes} minutes ago; whether it was is"
            " unknown, and vCenter has no task of it"
        )
        return _lost(attempt, reason)
    if not task:
        reason = f"RegisterVM was to be called for {attempt.moid} and has not answered; looking for its task"
        return _registering(attempt, reason)
    if answer is not None and not known and late:
        # It may have succeeded: vCenter forgets every task within minutes.
        reason = f"vCenter does not know RegisterVM task {one_line(task)} of {attempt.moid} any more"
        return replace(_lost(attempt, reason), certain=False)
    percent = bounded(answer.percent) if answer is not None else None
    reason = f"RegisterVM task {one_line(task)} of {attempt.moid} runs"
    if late:
        reason = overlong(f"RegisterVM task {one_line(task)} of {attempt.moid}", percent)
    return _registering(attempt, reason, percent=percent)


def unseen(attempt: Attempt, now: datetime) -> Registration:
    """Describe an open attempt without a vCenter that shows its progress."""
    reason = (
        f"RegisterVM was called for {attempt.moid} ({_attempt(attempt)}); only vCenter shows how far it is, and"
        " none is set up here (vcenter in the settings)"
    )
    return replace(_registering(attempt, reason), certain=not _late(attempt, now))


def unread(problem: str) -> str:
    """Note that the records cannot be read, so that a later call is unknown."""
    return f"cannot tell whether a command called RegisterVM for it: {problem}"


def succeeded(attempt: Attempt, *, notes: tuple[str, ...] = ()) -> Registration:
    """Say that a call succeeded; only Kubernetes can tell whether the VM is ready."""
    reason, code = f"RegisterVM ({_attempt(attempt)}) succeeded", ""
    if attempt.message:
        reason = f"RegisterVM ({_attempt(attempt)}) says that it is registered already: {one_line(attempt.message)}"
        code = entry.code if (entry := explain(attempt.message)).known else ""
    return _registration(name=attempt.vm, state=State.REGISTERED, reason=reason, code=code, notes=notes, certain=False)


def failed(attempt: Attempt) -> Registration:
    """Say when and why an attempt failed, and that another attempt is the user's decision."""
    what = f"RegisterVM ({_attempt(attempt)})"
    registration = from_vcenter.failed(attempt.vm, what, attempt.message, since=attempt.ended_at)
    reason = registration.reason if registration.can_wait else f"{registration.reason}. {_another()}"
    return _registration(
        name=attempt.vm,
        state=registration.state,
        reason=reason,
        code=registration.code,
        remedy_said=registration.remedy_said,
        can_wait=registration.can_wait,
        since=registration.since,
        certain=registration.certain,
    )


def kept(message: str) -> str:
    """Return the part of a failure that is kept in the record."""
    return message[:_LONGEST_KEPT]


def _late(attempt: Attempt, now: datetime) -> bool:
    return (now - attempt.begun_at).total_seconds() > TIMEOUT_SECONDS


def _lost(attempt: Attempt, cause: str) -> Registration:
    reason = f"{cause}: see in vCenter whether the VM was registered. {_another()}"
    return _registration(name=attempt.vm, state=State.FAILED, reason=reason, can_wait=False)


def _another() -> str:
    return f"It is not called again by itself: put the cause right, then use `{COMMAND}`"


def _registering(attempt: Attempt, reason: str, *, percent: int | None = None) -> Registration:
    return _registration(
        name=attempt.vm, state=State.REGISTERING, reason=reason, percent=percent, since=attempt.recorded_at
    )


def _attempt(attempt: Attempt) -> str:
    return f"attempt {attempt.number}" + (f", task {one_line(attempt.task)}" if attempt.task else "")
