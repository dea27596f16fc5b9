"""A capture between its first document and its seal: what this process has seen of it, and what was read back."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from velero_vmservice.archive import backup_scope, schema
from velero_vmservice.archive.facts import NamespaceFacts
from velero_vmservice.backup.assessment import Assessed, assessed, by_namespace, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.archive.backup_scope import HeldVms
    from velero_vmservice.archive.findings import ApplicationVerdict, Finding
    from velero_vmservice.archive.schema import BackupRun, Seal, Taken
    from velero_vmservice.backup.read_back import ReadBack


class Unsealed:
    """A capture that is still being written and read back; callers hold its lock."""

    def __init__(self, run: BackupRun) -> None:
        self.run = run
        self.lock = threading.Lock()
        self.callers: set[str] = set()
        """The launched processes that left something to the Supervisor."""
        self.withheld: Counter[str] = Counter()
        self.captured: dict[str, str] = {}
        self.objects: dict[str, str] = {}
        self.namespaces: dict[str, str] = {}
        self.facts: dict[str, NamespaceFacts] = {}
        """By namespace."""
        self.kinds: set[tuple[str, str, str]] = set()
        """Kind, namespace and name of each captured object."""
        self.chosen: set[str] = set()
        """`namespace/name` of each VM that Velero chose for the backup."""
        self.needed: dict[str, str] = {}
        """`namespace/name` of each VM that a captured object needs, and its backup version."""
        self.nested: set[str] = set()
        self.taken: Taken | None = None
        self.assessed: list[Assessed] = []
        """The captured objects, as far as their applications' verdicts ask for."""
        self.findings: dict[str, tuple[Finding, ...]] = {}
        """Of each namespace as a whole."""
        self.sealed: Seal | None = None

    @property
    def has_operation(self) -> bool:
        """Whether an object was captured, so that Velero asks for the seal; facts alone have no operation."""
        return any(key.startswith(f"{self.run.prefix}objects/") for key in self.captured)

    def remember(self, stored: ReadBack) -> None:
        """Remember a document that was read back."""
        document = stored.document
        if isinstance(document, NamespaceFacts):
            self.namespaces[stored.key] = stored.sha256
            self.facts[document.namespace] = document
            self.findings[document.namespace] = stored.findings
            return
        if (ref := schema.captured_object(stored.key)) is not None:
            self.assessed.append(assessed(ref, document.topology, document.findings))
        self.objects[stored.key] = stored.sha256
        self.kinds.add((document.kind, document.namespace, document.name))
        topology = document.topology
        versions = {vm.name: vm.backup_version for vm in topology.machines}
        self.needed |= {f"{document.namespace}/{name}": versions.get(name, "") for name in topology.needs}
        self.nested |= {f"{document.namespace}/{name}" for name in topology.nested}

    def held_vms(self, *, chosen: set[str]) -> HeldVms:
        """Return what the backup holds of its namespaces' VMs, of which Velero or its filters have chosen these."""
        return backup_scope.held_vms(
            self.facts, captured=self.kinds, needed=self.needed, nested=self.nested, chosen=chosen
        )

    def chosen_by_filters(self) -> set[str]:
        """Return the VMs that the Backup's filters choose, for a process that has not seen what Velero chose."""
        return {
            f"{namespace}/{name}"
            for namespace, facts in self.facts.items()
            for name in backup_scope.vms_by_filters(self.run.spec, facts)
        }

    def verdicts(self, held: HeldVms) -> Iterator[ApplicationVerdict]:
        """Yield whether each captured application could be restored."""
        for namespace, objects in sorted(by_namespace(self.assessed).items()):
            missed = (missing for missing in held.not_captured if missing.namespace == namespace)
            yield from verdicts(objects, self.findings.get(namespace, ()), missed)

    def release(self) -> None:
        """Let go of what only the seal needs: of thousands of VMs, for as long as the backup is remembered."""
        self.facts.clear()
        self.assessed.clear()
