"""The plugin's installation: Velero's namespace, and the settings in a ConfigMap there.

On a Supervisor a plugin is only an image: no file can be mounted and no variable set. Velero configures its own plugins
by a ConfigMap in its namespace with the labels `velero.io/plugin-config` and the plugin's name with its kind (Velero,
pkg/plugin/framework/common/plugin_config.go). This plugin does the same. Secrets that the settings name are in the same
namespace, and are kept as files that only this process can read.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.adapters.velero.location_secrets import of_secret
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION, CONFIG_MAP, ObjectRef, mapping
from velero_vmservice.settings import sources
from velero_vmservice.settings.sources import Given
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.settings_faults import Path as SettingPath

LABELS: Final = {"velero.io/plugin-config": "", PLUGIN_NAME: "BackupItemAction"}
SETTINGS_KEY: Final = "settings.yaml"
_REFERENCE: Final = "secret:"
"""`secret:NAME/KEY` instead of a file: a key of a Secret in Velero's namespace."""

NAMESPACE_VARIABLE: Final = "VELERO_NAMESPACE"
"""A variable of Velero's own container, which a daemon in it inherits."""
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_HINT: Final = "name it in velero_namespace, or in the variable VMSERVICE_VELERO_NAMESPACE"


def find_namespace(
    cluster: Cluster, environment: Mapping[str, str], *, pod: Path = _POD_NAMESPACE, required: bool = True
) -> str:
    """Return the namespace of Velero: its container's, the pod's, or the only one with a BackupStorageLocation.

    Without a BackupStorageLocation there is no Velero, and the namespace is '', unless one is `required`.
    Raises `InvalidSettings` if no or more than one namespace has any, and what a list raises.
    """
    if named := environment.get(NAMESPACE_VARIABLE):
        return named
    if pod.is_file():
        return pod.read_text(encoding="utf-8").strip()
    locations = cluster.list(BACKUP_STORAGE_LOCATION, "")
    namespaces = sorted({location.namespace for location in locations})
    match namespaces:
        case [namespace]:
            return namespace
        case [] if not required:
            return ""
        case []:
            raise InvalidSettings("cannot tell Velero's namespace: none has a BackupStorageLocation", hint=_HINT)
        case _:
            raise InvalidSettings(f"several namespaces have a Velero: {', '.join(namespaces)}", hint=_HINT)


def secrets_of_settings(cluster: Cluster, namespace: str) -> Collection[str]:
    """Return the names of the Secrets that the settings in the namespace name; raises as `PluginConfig.read`."""
    return set(_secrets_in(_written(cluster, namespace).values))


class PluginConfig:
    """The settings in Velero's namespace.

    `directory` returns a directory that is private to this process, for the content of Secrets; called if there is any.
    """

    def __init__(self, cluster: Cluster, namespace: str, *, directory: Callable[[], Path]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._directory = directory

    def read(self) -> Given:
        """Return the present settings; none without a ConfigMap.

        Raises `InvalidSettings` if several have the labels, the text cannot be read, or a Secret or its key is missing,
        and what the cluster raises.
        """
        given = _written(self._cluster, self._namespace)
        if given.values.get("velero_namespace", self._namespace) != self._namespace:
            place = given.place(("velero_namespace",))
            raise InvalidSettings(
                f"{place}: velero_namespace is another namespace than the one that the ConfigMap lies in",
                hint="leave velero_namespace out",
            )
        return Given({key: self._resolved(value, (key,), given) for key, value in given.values.items()}, given.places)

    def _resolved(self, value: Any, path: SettingPath, given: Given) -> Any:
        """Return a value, with the reference to a Secret's key replaced by a file."""
        if isinstance(value, dict):
            return {key: self._resolved(part, (*path, key), given) for key, part in value.items()}
        if not isinstance(value, str) or not str(path[-1]).endswith("_file"):
            return value
        before, _, named = value.partition(_REFERENCE)
        name, _, key = named.partition("/")
        setting = f"{given.place(path)}: {'.'.join(str(part) for part in path)}"
        if before or not (name and key):  # a path could be that of a token, and the login to vCenter would send it
            raise InvalidSettings(
                f"{setting} names no key of a Secret, and settings of the cluster can name no file of the container",
                hint=f"write {_REFERENCE}NAME/KEY",
            )
        return str(self._file(of_secret(self._cluster, self._namespace, {"name": name, "key": key}, setting)))

    def _file(self, content: bytes) -> Path:
        """Keep a Secret's content in a file that is named after it, so that other content is another setting."""
        file = self._directory() / hashlib.sha256(content).hexdigest()
        if not file.exists():
            unfinished = file.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
                target.write(content)
            unfinished.replace(file)
        return file


def _written(cluster: Cluster, namespace: str) -> Given:
    """Return the settings in the namespace as written; none without a ConfigMap."""
    config_maps = cluster.read_all(CONFIG_MAP, namespace, lambda config_map: config_map, labels=LABELS)
    if not config_maps:
        return Given()
    config_map = _only(config_maps)
    ref = ObjectRef(CONFIG_MAP, namespace, config_map.name)
    data = mapping(config_map.content.get("data"))
    if SETTINGS_KEY not in data:
        raise InvalidSettings(f"{ref} has no key {SETTINGS_KEY}", hint=f"put the settings under {SETTINGS_KEY}")
    return sources.from_text(str(data[SETTINGS_KEY]), name=f"{ref} {SETTINGS_KEY}")


def _secrets_in(settings: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _secrets_in(value)
        elif isinstance(value, str) and key.endswith("_file") and value.startswith(_REFERENCE):
            yield value.removeprefix(_REFERENCE).partition("/")[0]


def _only(config_maps: Sequence[Manifest]) -> Manifest:
    if len(config_maps) > 1:
        names = ", ".join(config_map.name for config_map in config_maps)
        labels = ", ".join(f"{key}={value}" for key, value in LABELS.items())
        raise InvalidSettings(
            f"several ConfigMaps of namespace {config_maps[0].namespace} have the labels of the settings: {names}",
            hint=f"remove the labels {labels} from all but one",
        )
    return config_maps[0]
