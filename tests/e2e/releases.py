"""Which Velero, and which of VM Operator's API, each release of vSphere has: what the suite is run on.

Sources: the compatibility table and the user manual of velero-plugin-for-vsphere, VM Operator's release branches.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Part(Enum):
    """How much of the suite is run on a release."""

    WHOLE = auto()
    WITH_GROUPS = auto()
    """What depends on the version of Velero or of the API, and all that needs VirtualMachineGroups."""
    ABOUT_VELERO = auto()
    """What depends on the version of Velero or of the API."""
    STORY = auto()
    """A whole application, with and without a sidecar, beside velero-plugin-for-vsphere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of vSphere, and what runs on its Supervisor."""

    vsphere: str
    velero: str
    api: tuple[str, ...]
    """Versions of VM Operator's API that it serves, oldest first."""
    groups: tuple[str, ...] = ()
    """Versions of VirtualMachineGroup that it serves; none where groups do not exist."""
    registers_existing: bool = True
    """Whether RegisterVM takes a VM whose VirtualMachine is still there."""
    aws_plugin: str
    """The velero-plugin-for-aws of its users. What runs is 1.14.2: of all versions 1.14.2 and 1.14.3 alone can be had
    as Go modules, `go mod download` of 1.6.0, 1.6.1, 1.6.2, 1.9 to 1.11 ends in 'This module version is not available'.
    """
    full: Part
    """What `--full` runs."""
    always: Part | None = None
    """What every run runs."""

    @property
    def name(self) -> str:
        """The name in the ids of tests and in paths."""
        return f"{self.vsphere.replace(' ', '')}-{self.velero}"

    @property
    def newest_api(self) -> str:
        """The version at which objects are stored, and that Velero prefers."""
        return self.api[-1]


_API: Final = tuple(f"v1alpha{number}" for number in range(1, 7))

NEWEST: Final = Release(
    vsphere="newest",
    velero="1.18.2",
    api=_API,
    groups=_API[1:],
    aws_plugin="1.14.2",
    full=Part.WHOLE,
    always=Part.WHOLE,
)
"""VM Operator's main branch, and the Velero of those who own a cluster."""

RELEASES: Final = (
    NEWEST,
    Release(
        vsphere="9.0.2",
        velero="1.15.2",
        api=_API[:4],
        groups=("v1alpha4",),
        aws_plugin="1.6.1",
        full=Part.WHOLE,
        always=Part.ABOUT_VELERO,
    ),
    Release(
        vsphere="9.0",
        velero="1.13.2",
        api=_API[:3],
        aws_plugin="1.6.2",
        full=Part.WHOLE,
        always=Part.STORY,
    ),
    Release(
        vsphere="9.1",
        velero="1.15.2",
        api=_API[:5],
        groups=_API[1:5],
        aws_plugin="1.6.1",
        full=Part.ABOUT_VELERO,
    ),
    Release(
        vsphere="8.0 U3",
        velero="1.13.2",
        api=_API[:3],
        registers_existing=False,
        aws_plugin="1.6.1",
        full=Part.ABOUT_VELERO,
    ),
    # No release pairs these two: what needs groups is to be seen on the oldest Velero as well.
    Release(
        vsphere="newest",
        velero="1.13.2",
        api=_API,
        groups=_API[1:],
        aws_plugin="1.6.1",
        full=Part.WITH_GROUPS,
    ),
)
