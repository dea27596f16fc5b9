"""Whether a restored application is as it was captured, once a person has powered it on; nothing is written.

Phase 3 of guide 10.5: the same looks and comparisons as a restore makes at its end, as often as they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive import schema
from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import VMS_ALONE, mapping, sequence
from velero_vmservice.restore.model import expected_vms
from velero_vmservice.restore.verify.checks import connection_check, object_checks, vm_checks
from velero_vmservice.restore.verify.vm import kinds_beside
from velero_vmservice.supervisor import observe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind, Manifest
    from velero_vmservice.restore.model import Source, Subject
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.execute import TcpProbe
    from velero_vmservice.restore.source.load import Subjects
    from velero_vmservice.restore.verify.checks import Check
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import Replay, RestoreRun

CONNECT_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedApplication:
    """What a restore was to bring back, as read of its capture."""

    sources: Sequence[Source]
    unread: Sequence[str] = ()
    """Objects that cannot be read, and why: what is said is not of them."""


class Verifying:
    """Compares restored applications with their captures."""

    def __init__(self, *, cluster: Cluster, clock: Clock, subjects: Subjects, probe: TcpProbe) -> None:
        self._cluster = cluster
        self._clock = clock
        self._subjects = subjects
        self._probe = probe

    def read(self, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy) -> CapturedApplication:
        """Read what was captured; raises what passes by itself."""
        sources, unread = list["Source"](), list[str]()
        for replay in replays:
            try:
                sources.append(self._subjects.read(replay, run, policy))
            except VmServiceError as error:
                if error.transient:
                    raise
                unread.append(f"{replay.destination}: {error}")
        return CapturedApplication(sources=sources, unread=unread)

    def check(self, application: CapturedApplication, *, connect: bool) -> Sequence[Check]:
        """Look once, and compare; `connect` tries the TCP ports of load balancers. Raises what the cluster raises."""
        in_namespace: dict[str, list[Source]] = {}
        for source in application.sources:
            in_namespace.setdefault(source.subject.ref.namespace, []).append(source)
        return [
            check
            for namespace in sorted(in_namespace)
            for check in self._namespace(namespace, in_namespace[namespace], connect=connect)
        ]

    def _namespace(self, namespace: str, sources: Sequence[Source], *, connect: bool) -> Iterator[Check]:
        services = frozenset(source.subject.ref.name for source in sources)
        observed = observe.look(self._cluster, self._clock, namespace, services=services)
        for source in sorted(sources, key=lambda source: source.subject.ref):
            if source.subject.ref.kind != VMS_ALONE:
                yield from object_checks(source.subject, observed, source.before)
                if connect:
                    yield from self._connections(source.subject, observed)
        vms = expected_vms(source.subject for source in sources)
        beside = self._beside(namespace, vms, observed)
        in_use = {claim for vm in observed.machines.values() for claim in vm.claims}
        for vm in vms:
            yield from vm_checks(vm.name, vm.facts, observed, beside, in_use=in_use)

    def _connections(self, subject: Subject, observed: NamespaceState) -> Iterator[Check]:
        live = observed.services.get(subject.ref.name)
        if subject.is_group or live is None or live.spec.get("type") != "LoadBalancer":
            return
        for host in schema.observed(live).load_balancer:
            for entry in map(mapping, sequence(live.spec.get("ports"))):
                port = entry.get("port")
                if entry.get("protocol", "TCP") == "TCP" and isinstance(port, int):
                    failure = self._probe.connect(host, port, seconds=CONNECT_SECONDS)
                    yield connection_check(subject, host, port, failure)

    def _beside(
        self, namespace: str, vms: Sequence[ExpectedVm], observed: NamespaceState
    ) -> dict[Kind, frozenset[str]]:
        """Return the names of what belongs beside restored VMs; a kind that may not be listed is left out.

        No content of a Secret is read.
        """
        names: dict[Kind, frozenset[str]] = {}
        kinds = {
            kind
            for vm in vms
            if vm.facts is not None and vm.name in observed.machines
            for kind in kinds_beside(observed.machines[vm.name], vm.facts)
        }
        for kind in sorted(kinds):
            try:
                listed = self._cluster.read_all(kind, namespace, _name_of_lasting, metadata_only=True)
            except VmServiceError as error:
                if error.transient:
                    raise
            else:
                names[kind] = frozenset(filter(None, listed))
        return names


def _name_of_lasting(manifest: Manifest) -> str:
    return "" if manifest.deleting else manifest.name
