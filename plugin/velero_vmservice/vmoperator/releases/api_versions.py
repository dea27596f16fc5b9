"""Which version of a VM Operator kind to read and write.

VM Operator keeps what an older version cannot express in a conversion annotation that overrides later edits
(utilconversion), so a capture is always read at the newest served version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_VERSION: Final = re.compile(r"^v(\d+)(?:(alpha|beta)(\d+))?$")
_STAGES: Final = {"alpha": 0, "beta": 1, None: 2}

_INTRODUCED: Final = {
    ("VirtualMachineGroup", "powerOffDelay"): "v1alpha6",
    ("VirtualMachineService", "ipFamilies"): "v1alpha6",
    ("VirtualMachineService", "ipFamilyPolicy"): "v1alpha6",
}
"""The only fields in which the served versions differ (vm-service 4.7)."""

SUPPORTED: Final = ("v1alpha2", "v1alpha3", "v1alpha4", "v1alpha5")
"""The versions that the guide restores (7.1.2); it says nothing of later ones."""
TOO_OLD: Final = "VCenterWcpWorkloadRegisterVMConvertUnstructuredToVMTypeFailed"
"""What RegisterVM answers for a VM that was backed up at a version older than those (guide 7.1.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChoice:
    """The version to write one object at, or why it cannot be written."""

    version: str
    """'' if the target serves none that is supported."""
    refused: str = ""
    notes: tuple[str, ...] = ()


def rank(version: str) -> tuple[int, int, int]:
    """Return a sort key in Kubernetes' version order: v1alpha1 < v1alpha2 < v1beta1 < v1; unknown forms first."""
    match = _VERSION.match(version)
    if match is None:
        return (-1, 0, 0)
    return (_STAGES[match[2]], int(match[1]), int(match[3] or 0))


def newest(versions: Iterable[str]) -> str | None:
    """Return the newest of the versions, or None if there are none."""
    return max(versions, key=rank, default=None)


def replay_version(captured: str, served: Sequence[str]) -> str | None:
    """Return the version to write: the captured one where it is served, else the newest served one."""
    return captured if captured in served else newest(served)


def choose(kind: str, captured: str, served: Sequence[str]) -> VersionChoice:
    """Choose the version to replay a captured object at, never a newer one than is needed.

    Args:
        kind: VirtualMachineService or VirtualMachineGroup.
        captured: the version that the capture was read at.
        served: the versions that the target serves for the kind. None at all refuses too, which may pass while
            VM Operator's definitions are being upgraded.
    """
    version = replay_version(captured, served) or ""
    if not version:
        return VersionChoice(
            version="",
            refused=f"the target serves no version of {kind}: enable VM Service there, or wait for its upgrade to end",
        )
    oldest = SUPPORTED[0]
    if rank(captured) < rank(oldest):
        return VersionChoice(
            version="",
            refused=f"the {kind} was captured at {captured}: {_too_old()}; where a newer version is served, back it up"
            " again",
        )
    if rank(version) < rank(oldest):
        return VersionChoice(
            version="",
            refused=f"the target serves {kind} at {', '.join(served)} only: {_too_old()}; restore to vSphere 8.0 U3 or"
            " later",
        )
    if rank(version) > rank(SUPPORTED[-1]):
        silent = (
            f"replayed at {version}: the guide names {', '.join(SUPPORTED)} as supported and says nothing"
            " of later versions; check the result"
        )
        return VersionChoice(version=version, notes=(silent,))
    return VersionChoice(version=version)


def _too_old() -> str:
    return (
        f"API versions older than {SUPPORTED[0]} cannot be restored (guide 7.1.2; supported are {', '.join(SUPPORTED)};"
        f" RegisterVM fails with {TOO_OLD})"
    )


def unknown_fields(kind: str, version: str) -> frozenset[str]:
    """Return the fields of the kind that came after the version."""
    return frozenset(
        field for (owner, field), since in _INTRODUCED.items() if owner == kind and rank(version) < rank(since)
    )


def trim(tree: Any, fields: frozenset[str], path: str) -> Iterator[str]:
    """Delete the fields wherever they stand in the tree, in place; yield the path of each."""
    if isinstance(tree, list):
        for index, entry in enumerate(tree):
            yield from trim(entry, fields, f"{path}[{index}]")
    elif isinstance(tree, dict):
        for key in list(tree):
            if key in fields:
                del tree[key]
                yield f"{path}.{key}"
            else:
                yield from trim(tree[key], fields, f"{path}.{key}")
