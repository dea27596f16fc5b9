"""One run of a Velero Restore, as far as the product needs it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from velero_vmservice.kube.manifest import Manifest, compact_time, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRun:
    """One run of a Velero Restore, as far as replay needs it."""

    name: str
    namespace: str
    uid: str
    started: str
    """UTC, compact, as in `archive.schema`; '' before Velero has set it."""
    backup: str
    namespace_mapping: Mapping[str, str]
    existing_resource_policy: str = ""
    """`none`, `update` or ''."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    of_velero: bool = True
    """Whether Velero has a Restore of that name; else it is one that the command line made of a backup."""
    resource_modifier: str = ""
    """Name of the ConfigMap of its `spec.resourceModifier`; '' for none."""
    resumed: bool = False
    """Whether the command line goes on with a restore that Velero began: the restore is the same, its run another."""

    began: str = ""
    """Start of Velero's own run that this one goes on with; '' where this is the first, or Velero has none."""

    @property
    def key(self) -> str:
        """Tell this run from others of the same restore."""
        return f"{self.uid}/{self.started}" if self.resumed else self.uid

    @classmethod
    def read(cls, restore: Manifest) -> RestoreRun:
        """Read a Velero Restore."""
        return cls(
            name=restore.name,
            namespace=restore.namespace,
            uid=restore.uid,
            started=compact_time(restore.status.get("startTimestamp")),
            backup=str(restore.spec.get("backupName", "")),
            namespace_mapping=mapping(restore.spec.get("namespaceMapping")),
            existing_resource_policy=str(restore.spec.get("existingResourcePolicy") or ""),
            annotations=restore.annotations,
            of_velero=bool(restore.uid),
            resource_modifier=_modifier(restore),
            spec=restore.spec,
        )

    @property
    def again(self) -> str:
        """The command that goes on with this restore: it verifies what is there and stores results and a report."""
        if self.of_velero:
            return f"velero-vmservice restore --resume {shlex.quote(self.name)}"
        mapped = [
            f"--namespace-mapping {shlex.quote(f'{source}:{target}')}"
            for source, target in self.namespace_mapping.items()
        ]
        return " ".join(("velero-vmservice restore", shlex.quote(self.backup), *mapped))

    @property
    def report_command(self) -> str:
        """The command that shows the report of this run; for Velero's own run the Restore has the start time."""
        which = "" if self.of_velero and not self.resumed else f" --started {self.started}"
        return f"velero-vmservice report {shlex.quote(self.name)}{which}"

    @property
    def describe_command(self) -> str:
        """The command that shows how each operation has ended, stored or not; '' for a run of the command line."""
        if not self.of_velero or self.resumed:
            return ""
        return f"velero restore describe {shlex.quote(self.name)} --details"

    def target(self, namespace: str) -> str:
        """Return the namespace that objects of a backup's namespace are restored into."""
        return self.namespace_mapping.get(namespace, namespace)


def _modifier(restore: Manifest) -> str:
    """Return the ConfigMap that a Restore's resource modifier lies in; of other kinds Velero takes no notice."""
    named = mapping(restore.spec.get("resourceModifier"))
    return str(named.get("name") or "") if str(named.get("kind")).lower() == "configmap" else ""
