"""The words of a RegisterVM task: its steps, its states and how it fails. Guide, 11.2 and 12.3."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Step(IntEnum):
    """What a task does, in order; several steps share the 80 % of "register volumes"."""

    CLIENT = 1
    PROPERTIES = 2
    VALIDATE = 3
    RESOURCES = 4
    VOLUMES = 5
    BOUND = 6
    VM = 7
    COMPLETE = 8

    @property
    def progress(self) -> int:
        """The percentage vCenter shows."""
        return (5, 10, 20, 40, 80, 80, 80, 100)[self - 1]


class Failure(StrEnum):
    """Error codes of the guide."""

    NOT_FOUND = "VCenterWcpWorkloadRegisterVMVMNotFound"
    DUPLICATE = "VCenterWcpWorkloadRegisterVMDuplicateVMBiosUUID"
    WRONG_FOLDER = "VCenterWcpWorkloadRegisterVMNotFoundInNamespaceFolder"
    BAD_RECORD = "VCenterWcpWorkloadRegisterVMValidateVMResourceFailed"
    OLD_VERSION = "VCenterWcpWorkloadRegisterVMConvertUnstructuredToVMTypeFailed"
    EXISTS = "VCenterWcpWorkloadRegisterVMAlreadyExistsOnSupervisor"
    CLAIM = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"

    @property
    def step(self) -> Step:
        """Where it strikes."""
        return {Failure.NOT_FOUND: Step.PROPERTIES, Failure.CLAIM: Step.BOUND}.get(self, Step.VALIDATE)


class State(StrEnum):
    """A vCenter task's state."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
