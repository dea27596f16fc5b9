"""RegisterVM by the guide: the stages of its task, and WCP's decision on a restored VM.

Nothing here calls it. Some facts for the decision are only in vCenter: without them the answer may be unknown, and
names the possible answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from velero_vmservice.vmoperator.backup_version import VersionAge, compare_versions
from velero_vmservice.vmoperator.releases import Feature, Generation, SupervisorRelease
from velero_vmservice.vsphere.registervm_errors import EXISTS

TIMEOUT_SECONDS: Final = 300.0
"""The guide's time limit for a RegisterVM task (12.2)."""


class TaskStage(StrEnum):
    """The stages of RegisterVM's task (guide 12.3)."""

    SETUP = "client setup"
    PROPERTIES = "retrieve VM properties"
    VALIDATION = "validate VM"
    RESOURCES = "restore additional resources"
    VOLUMES = "register volumes"
    COMPLETE = "complete"

    @classmethod
    def named(cls, name: str) -> TaskStage | None:
        """Return the stage with this name in another program, in any case; None for a name of its own."""
        return next((known for known in cls if known == name.lower()), None)


WHILE_VOLUMES: Final = (
    "look at the CnsRegisterVolumes of the namespace, the datastore, the disk files and CNS (guide 11.3)"
)
"""What a user has to check if a task stays at that stage."""

STAGES: Final = (
    (5, TaskStage.SETUP),
    (10, TaskStage.PROPERTIES),
    (20, TaskStage.VALIDATION),
    (40, TaskStage.RESOURCES),
    (80, TaskStage.VOLUMES),
    (100, TaskStage.COMPLETE),
)
"""The stages by the percentage at which they begin."""


def stage(percent: int | None) -> TaskStage | None:
    """Return the last stage that a task has reached, None before the first or if no percentage is known."""
    reached = [name for at, name in STAGES if percent is not None and at <= percent]
    return reached[-1] if reached else None


def bounded(percent: int | None) -> int | None:
    """Return a percentage if it is valid, because a source may report nonsense."""
    return None if percent is None else max(0, min(percent, 100))


def progress_text(percent: int | None, stage_name: str = "") -> str:
    """Return the progress of a task: `80 %, register volumes`; a given stage name replaces the percentage's."""
    within = bounded(percent)
    return ", ".join(filter(None, ("" if within is None else f"{within} %", stage_name or stage(within) or "")))


def overlong(what: str, percent: int | None) -> str:
    """Describe a task that exceeds its time limit, and what to check; the restore still waits for it."""
    at = f", at {percent} % ({stage(percent)})" if stage(percent) else ""
    checks = f": {WHILE_VOLUMES}" if stage(percent) is TaskStage.VOLUMES else ""
    return (
        f"{what} runs for more than the {TIMEOUT_SECONDS / 60:.0f} minutes that it gets (guide 12.2){at}{checks}; it"
        " cannot be cancelled: see it in vCenter"
    )


class Course(StrEnum):
    """WCP's course for a VM in a namespace folder."""

    NEW = "restore to new"
    EXISTING = "restore to existing"
    DISK_ONLY = "disk-only restore"
    FAILOVER = "failover"
    IGNORED = "ignored"
    """Not a VM of VM Service: WCP ignores it."""
    AUTOMATIC_OFF = "automatic registration off"
    """It waits for a call of RegisterVM."""
    REFUSED = "refused"
    """This generation of Supervisor cannot do that restore."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The basis of the decision; None and '' mean unknown."""

    generation: Generation
    recorded: bool | None = None
    """Whether the ExtraConfig has the VirtualMachine's YAML; None without an answer of vCenter."""
    enabled: bool | None = None
    """The value of `enableAutomaticRegistration` in the ExtraConfig, in any spelling (`extra_config`)."""
    disabled: bool | None = None
    """The same for `disableAutomaticRegistration`."""
    exists: bool | None = None
    """Whether the VirtualMachine exists on the Supervisor."""
    recorded_version: str = ""
    """Backup version in the ExtraConfig."""
    annotated_version: str = ""
    """Backup version in the VirtualMachine's annotation."""
    other_vcenter: bool | None = None
    """Whether the record names another vCenter than this one (guide 6.4)."""
    reverting: bool = False
    """Whether the VM is being reverted to a snapshot (guide 7.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """WCP's course, and its course if RegisterVM were called by hand now."""

    course: Course
    reason: str
    by_hand: Course
    """Like `course`, but with automatic registration off it is the restore that a call makes."""
    code: str = ""
    """RegisterVM's code for a refused restore, if the guide names it."""


def automatic(generation: Generation, *, enabled: bool | None, disabled: bool | None) -> bool | None:
    """Say whether WCP registers a restored VM by itself; None if that depends on an unknown generation.

    VCF 9.0 requires an opt-in, older releases register unless there is an opt-out (guide 4.2).
    """
    opted_in, not_out = bool(enabled), not disabled
    match generation:
        case Generation.VCF_9:
            return opted_in
        case Generation.VSPHERE_8_U3:
            return not_out
        case _:
            return opted_in if opted_in == not_out else None


def decide(situation: Situation) -> Decision:
    """Decide by the guide's tree (4.3), with its failover (6.4) and its limits (1.3, 7.2.1, 7.2.2)."""
    if situation.recorded is False:
        reason = "no VirtualMachine is recorded in its ExtraConfig: WCP does not take it for a VM of VM Service"
        return Decision(course=Course.IGNORED, reason=reason, by_hand=Course.IGNORED)
    called = _called(situation)
    if situation.reverting:
        reason = (
            "it is being reverted to a snapshot, after which WCP registers nothing by itself (guide 7.2.1): call"
            f" RegisterVM then if it was also restored; {called.reason}"
        )
        return Decision(course=Course.AUTOMATIC_OFF, reason=reason, by_hand=called.by_hand, code=called.code)
    if situation.recorded is None:
        reason = f"without vCenter it is unknown whether WCP registers it by itself; {called.reason}"
        return Decision(course=Course.UNKNOWN, reason=reason, by_hand=called.by_hand, code=called.code)
    by_itself = automatic(situation.generation, enabled=situation.enabled, disabled=situation.disabled)
    if by_itself is None:
        reason = (
            "whether WCP registers it by itself depends on the Supervisor's generation, which is unknown; set"
            f" enableAutomaticRegistration in its ExtraConfig, or call RegisterVM; {called.reason}"
        )
        return Decision(course=Course.UNKNOWN, reason=reason, by_hand=called.by_hand, code=called.code)
    if not by_itself:
        reason = f"{_off(situation.generation)}: call RegisterVM for it; {called.reason}"
        return Decision(course=Course.AUTOMATIC_OFF, reason=reason, by_hand=called.by_hand, code=called.code)
    return called


def _off(generation: Generation) -> str:
    if generation is Generation.VSPHERE_8_U3:
        return "its ExtraConfig says disableAutomaticRegistration"
    return "automatic registration is off unless its ExtraConfig says enableAutomaticRegistration=true (VCF 9.0+)"


def _called(situation: Situation) -> Decision:
    """Decide the course of a call of RegisterVM."""
    release = SupervisorRelease(generation=situation.generation, evidence="")
    if situation.other_vcenter:
        if release.supports(Feature.CROSS_VCENTER_FAILOVER) is False:
            reason = f"it comes from another vCenter, and {situation.generation} cannot fail VMs over (guide 1.3)"
            return _plain(Course.REFUSED, reason)
        return _plain(Course.FAILOVER, "it comes from another vCenter: its image is cleared and known disks are reused")
    if situation.exists is None:
        return _left(
            situation, "knowing whether the VirtualMachine exists", (Course.NEW, Course.EXISTING, Course.DISK_ONLY)
        )
    if not situation.exists:
        if situation.other_vcenter is None:
            return _left(situation, "knowing from which vCenter it comes", (Course.NEW,))
        return _plain(Course.NEW, "there is no VirtualMachine of that name: RegisterVM makes one")
    if release.supports(Feature.IN_PLACE_RESTORE) is False:
        reason = (
            f"the VirtualMachine exists, and {situation.generation} cannot register over it ({EXISTS}; guide 7.2.2)"
        )
        return Decision(course=Course.REFUSED, reason=reason, by_hand=Course.REFUSED, code=EXISTS)
    if situation.other_vcenter is None:
        return _left(situation, "knowing from which vCenter it comes", _in_place(situation))
    return _over(situation)


def _over(situation: Situation) -> Decision:
    """Decide between the two ways to restore an existing VM."""
    versions = (
        f"backup version {situation.recorded_version} in the ExtraConfig, {situation.annotated_version} on the VM"
    )
    match _in_place(situation):
        case (Course.EXISTING,):
            return _plain(Course.EXISTING, f"the restored VM is older than the VirtualMachine ({versions})")
        case (Course.DISK_ONLY,):
            reason = f"the record is as new as the VirtualMachine ({versions}): only disks that CNS lost are registered"
            return _plain(Course.DISK_ONLY, reason)
        case courses:
            return _left(situation, "a backup version on both sides", courses)


def _in_place(situation: Situation) -> tuple[Course, ...]:
    match compare_versions(situation.recorded_version, situation.annotated_version):
        case VersionAge.OLDER:
            return (Course.EXISTING,)
        case VersionAge.EQUAL | VersionAge.NEWER:
            return (Course.DISK_ONLY,)
        case _:
            return (Course.EXISTING, Course.DISK_ONLY)


def _left(situation: Situation, missing: str, courses: tuple[Course, ...]) -> Decision:
    """Return an unknown answer with the missing fact and the possible courses."""
    may_fail_over = situation.other_vcenter is None and situation.generation is not Generation.VSPHERE_8_U3
    left = (*courses, *((Course.FAILOVER,) if may_fail_over else ()))
    if len(left) == 1:
        return _plain(left[0], f"nothing else is possible on {situation.generation}")
    return _plain(Course.UNKNOWN, f"the restore type is unknown without {missing}: {' or '.join(left)}")


def _plain(course: Course, reason: str) -> Decision:
    return Decision(course=course, reason=reason, by_hand=course)
