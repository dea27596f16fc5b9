"""Look at the cluster, its Velero, the buckets and the registration sources, one check after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from velero_vmservice import __version__
from velero_vmservice.doctor import checks, storage, surroundings, velero
from velero_vmservice.doctor.checks import Examiner
from velero_vmservice.doctor.rights import RIGHTS, Need, Scope, judge, judge_named
from velero_vmservice.errors import NotFound, VmServiceError
from velero_vmservice.kube.manifest import (
    BACKUP,
    BACKUP_STORAGE_LOCATION,
    CONFIG_MAP,
    DEPLOYMENT,
    VIRTUAL_MACHINE_GROUP,
    ObjectRef,
    mapping,
)
from velero_vmservice.supervisor.vsphere_plugin import BLOCKED_RESOURCES
from velero_vmservice.velero.deployment import VELERO, VeleroDeployment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.doctor.checks import Check
    from velero_vmservice.doctor.rights import Right
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.policy import RestoreDefaults
    from velero_vmservice.supervisor.detect import Supervisor
    from velero_vmservice.supervisor.observe import TargetCapabilities

API_SERVER: Final = "API server"
_DEPLOYMENT: Final = "Velero's Deployment"
_SERVER_DEFAULT: Final = "default"
"""The default location of Velero's server without a flag (--default-backup-storage-location)."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The checks through the ports."""

    cluster: Cluster
    locations: StorageLocations
    supervisor: Supervisor
    capabilities: TargetCapabilities
    connections: Mapping[str, Callable[[], str]]
    """A question for each other server of the settings, by its name; the answer describes the server."""
    velero_namespace: str
    """'' if it is unknown."""
    own_bucket: bool
    calls_register_vm: bool
    policy: RestoreDefaults
    vsphere_plugin: Literal["detect", "take-over", "leave"]
    secrets_of_settings: Callable[[], Collection[str]]
    """Names of the Secrets that the settings of the cluster name."""

    def checks(self, examiner: Examiner) -> Iterator[Check]:
        """Yield every check; after a failed request those that need the API server are skipped."""
        yield from examiner.make(API_SERVER, self._api_server)
        for right in RIGHTS:
            make = self._make if right.scope is Scope.VELERO else Examiner.make
            yield from make(examiner, right.title, partial(self._right, right))
        yield from self._make(examiner, _DEPLOYMENT, self._deployment)
        yield from self._make(examiner, "locations", self._locations)
        yield from examiner.make(surroundings.SUPERVISOR, self._supervisor)
        yield from self._make(examiner, surroundings.BLOCKED_LIST, self._blocked_list)
        for name, ask in self.connections.items():
            yield from examiner.make(name, partial(_connection, name, ask), cluster=False)

    def _make(self, examiner: Examiner, name: str, look: Callable[[], Check | Iterable[Check]]) -> Sequence[Check]:
        """Make a check that needs Velero's namespace."""
        if not self.velero_namespace:
            return (checks.unknown(name, "Velero's namespace is not known"),)
        return examiner.make(name, look)

    def _api_server(self) -> Check:
        try:
            served = self.cluster.served_versions(BACKUP)
        except VmServiceError as error:
            return checks.failed(API_SERVER, error.message, error.hint)
        if not served:
            return checks.failed(
                API_SERVER, f"{self.cluster.address} serves no Velero", "use the kubeconfig of the cluster with Velero"
            )
        asked_as = f"; asked as {self.cluster.account}" if self.cluster.account else ""
        return checks.ok(
            API_SERVER, f"{self.cluster.address} serves Velero; its namespace is {self.velero_namespace}{asked_as}"
        )

    def _right(self, right: Right) -> Check:
        namespace = self.velero_namespace if right.scope is Scope.VELERO else ""
        allowed = {verb: self.cluster.allowed(verb, right.kind, namespace, name=right.name) for verb in right.verbs}
        if right.by_name and not all(allowed.values()):
            named = {name: self._all_allowed(right, name) for name in self._named_secrets()}
            return judge_named(right, named, velero_namespace=self.velero_namespace)
        return judge(right, allowed, velero_namespace=self.velero_namespace, asked_for=self._asked_for())

    def _all_allowed(self, right: Right, name: str) -> bool:
        return all(self.cluster.allowed(verb, right.kind, self.velero_namespace, name=name) for verb in right.verbs)

    def _named_secrets(self) -> Sequence[str]:
        """Return the names of the Secrets that locations and settings name; a bucket of one's own needs no location."""
        read = storage.Location.read
        locations = self.cluster.read_all(BACKUP_STORAGE_LOCATION, self.velero_namespace, read)
        of_locations = {name for location in locations for name in location.secrets if not self.own_bucket}
        return sorted({*of_locations, *self.secrets_of_settings()})

    def _asked_for(self) -> frozenset[Need]:
        by_need = {
            Need.REGISTER_VM: self.calls_register_vm,
            Need.POWER: self.policy.power != "leave",
            Need.TAKE_OVER: self.vsphere_plugin == "take-over"
            or (self.vsphere_plugin == "detect" and self.supervisor.present()),
        }
        return frozenset(need for need, is_asked_for in by_need.items() if is_asked_for)

    def _deployment(self) -> Iterator[Check]:
        ref = ObjectRef(DEPLOYMENT, self.velero_namespace, VELERO)
        deployment = VeleroDeployment.read(self.cluster.get(ref))
        yield velero.version_check(deployment)
        yield velero.plugin_check(deployment, own_version=__version__)
        yield velero.beside_check(deployment)
        yield velero.timeout_check(deployment, self.policy)

    def _locations(self) -> Iterator[Check]:
        read = storage.Location.read
        locations = self.cluster.read_all(BACKUP_STORAGE_LOCATION, self.velero_namespace, read)
        yield storage.default_check(locations, server_default=_SERVER_DEFAULT)
        for location in locations:
            yield storage.location_check(location)
        if self.own_bucket:
            yield self._storage("storage in the bucket of the settings", "")
            return
        for location in locations:
            yield self._storage(f"storage in location {location.name}", location.name)

    def _storage(self, name: str, location: str) -> Check:
        try:
            return storage.probe_check(name, storage.probe(self.locations.open(location)))
        except VmServiceError as error:
            return checks.failed(name, error.message, error.hint)

    def _supervisor(self) -> Check:
        return surroundings.supervisor_check(
            self.capabilities.generation(),
            self.cluster.served_versions(VIRTUAL_MACHINE_GROUP),
            present=self.supervisor.present(),
        )

    def _blocked_list(self) -> Check:
        config_map = self._existing(ObjectRef(CONFIG_MAP, self.velero_namespace, BLOCKED_RESOURCES))
        keys = mapping(config_map.content.get("data")) if config_map else ()
        return surroundings.blocked_list_check(
            config_map,
            handled=self.supervisor.ever_restricted(frozenset(keys)),
            policy=self.vsphere_plugin,
            on_supervisor=self.supervisor.present(),
        )

    def _existing(self, ref: ObjectRef) -> Manifest | None:
        try:
            return self.cluster.get(ref)
        except NotFound:
            return None


def _connection(name: str, ask: Callable[[], str]) -> Check:
    try:
        return checks.ok(name, ": ".join(filter(None, ("it answers", ask()))))
    except VmServiceError as error:
        return checks.failed(name, error.message, error.hint)
