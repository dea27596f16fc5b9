"""What a name in one of Velero's filters stands for: plural, singular, kind or short name, with or without a group.

As Velero resolves it through the API server's discovery (pkg/discovery/helper.go, ResourceFor): kubectl's shortcut
expander (client-go, restmapper/shortcut.go) before apimachinery's RESTMapper (pkg/api/meta/restmapper.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedResource:
    """One resource with all its names, as the API server lists it."""

    kind: Kind
    singular: str = ""
    short_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, str]:
        """Plural and singular; a server that lists no singular has the kind's name in lower case."""
        return self.kind.plural, self.singular or self.kind.name.lower()


VM_OPERATOR_RESOURCES: Final = (
    NamedResource(kind=VIRTUAL_MACHINE, short_names=("vm",)),
    NamedResource(kind=VIRTUAL_MACHINE_GROUP, short_names=("vmg",)),
    NamedResource(kind=VIRTUAL_MACHINE_SERVICE, short_names=("vmservice",)),
)
"""Names that VM Operator's definitions give (api/v1alpha5, kubebuilder:resource): for where no discovery is asked."""


def full_name(name: str, served: Sequence[NamedResource]) -> str:
    """Return `plural.group` of the resource that a name stands for; the name itself where it stands for none.

    `served` is in the order in which the API server prefers its groups: of several resources the first is meant.
    """
    resource, _, group = name.partition(".")
    resource, group = _expanded(resource, group, served)
    for candidate in served:
        if candidate.kind.group.startswith(group) and resource.lower() in candidate.names:
            return candidate.kind.resource
    return name


def _expanded(resource: str, group: str, served: Sequence[NamedResource]) -> tuple[str, str]:
    """Replace a short name by the resource's own; short names are case-sensitive."""
    of_group = [candidate for candidate in served if group in ("", candidate.kind.group)]
    if any(resource in candidate.names for candidate in of_group):
        return resource, group
    by_prefix = [candidate for candidate in served if group and candidate.kind.group.startswith(group)]
    for candidate in (*of_group, *by_prefix):
        if resource in candidate.short_names:
            return candidate.kind.plural, candidate.kind.group
    return resource, group
