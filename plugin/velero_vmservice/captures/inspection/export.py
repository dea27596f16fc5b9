"""A capture as plain YAML that kustomize and GitOps take: sanitised objects, in the order in which they are applied."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.errors import Corrupt
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, Manifest, ObjectRef
from velero_vmservice.restore.model import Subject
from velero_vmservice.restore.order import in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.archive.schema import Capture

KUSTOMIZATION: Final = "kustomization.yaml"
WARNINGS: Final = (
    "Apply this only once every VM that it names is registered: VM Operator places VMs of a group anew otherwise.",
    "Neither kubectl apply nor GitOps waits for VMs, labels and membership, or keeps the boot order of groups.",
    "Neither of them compares what came of it; velero-vmservice restore does all of this.",
    "Delete no group: the VMs in it are deleted with it. Leave it out of pruning by a GitOps tool.",
)
"""What a person has to know who applies the files instead of restoring the capture."""
UNPOWERED: Final = "The power state of groups is left out: VMs stay as they are."
POWERED: Final = "Groups have their captured power state: applying them powers VMs on or off."

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9./-]*")
_NOT_PLAIN: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
"""Other readers of YAML than ours take these for no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One file of an export."""

    name: str
    """With its directory, separated by `/`."""
    text: str


class _Dumper(yaml.SafeDumper):
    """Quotes each text that any reader of YAML 1.1 or 1.2 could take for something else."""


def _represented(dumper: _Dumper, name: str) -> yaml.Node:
    plain = _PLAIN.fullmatch(name) and name.lower() not in _NOT_PLAIN
    return dumper.represent_scalar("tag:yaml.org,2002:str", name, style=None if plain else '"')


_Dumper.add_representer(str, _represented)


def exported(
    captures: Mapping[ObjectRef, Capture], *, mapping: Mapping[str, str], power_state: bool = False
) -> Sequence[Manifest]:
    """Return the objects to apply, in their order: parent groups, their children, then services.

    Each is what was captured, in its own namespace or in the one that it is mapped to. With `power_state` a group has
    its captured power state again. Raises `Corrupt` for a name that no Kubernetes object can have.
    """
    subjects = {
        ref: Subject(
            ref=ref, wanted=_manifest(ref, capture, mapping, power_state=power_state), topology=capture.topology
        )
        for ref, capture in captures.items()
    }
    return [subject.wanted for subject in in_order(subjects.values())]


def files(manifests: Sequence[Manifest], *, title: str, power_state: bool = False) -> Sequence[ExportedFile]:
    """Return a file for each object, and a kustomization that lists them in the order in which they are applied."""
    named = [
        (f"{manifest.namespace}/{manifest.kind_name.lower()}-{manifest.name}.yaml", manifest) for manifest in manifests
    ]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "sortOptions": {"order": "fifo"},
        "resources": [name for name, _ in named],
    }
    return [
        *(ExportedFile(name=name, text=written(manifest.content)) for name, manifest in named),
        ExportedFile(name=KUSTOMIZATION, text=_comment(title, power_state=power_state) + written(kustomization)),
    ]


def stream(manifests: Sequence[Manifest], *, title: str, power_state: bool = False) -> str:
    """Return all objects as one stream of YAML documents, in their order."""
    documents = "".join(f"---\n{written(manifest.content)}" for manifest in manifests)
    return _comment(title, power_state=power_state) + documents


def written(content: Mapping[str, Any]) -> str:
    """Return an object as YAML, with its fields in the order of kubectl."""
    first = [key for key in ("apiVersion", "kind", "metadata", "spec") if key in content]
    ordered = {key: content[key] for key in (*first, *sorted(content.keys() - set(first)))}
    return yaml.dump(
        ordered, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=math.inf, default_flow_style=False
    )


def _manifest(ref: ObjectRef, capture: Capture, mapping: Mapping[str, str], *, power_state: bool) -> Manifest:
    content = sanitize(Manifest(capture.manifest)).manifest.editable()
    namespace = mapping.get(ref.namespace, ref.namespace)
    for name in (namespace, ref.name):
        if not _NAME.fullmatch(name):
            raise Corrupt(f"{ref} has a name that no Kubernetes object can have", hint="verify the capture")
    content["metadata"]["namespace"] = namespace
    if power_state and ref.kind == VIRTUAL_MACHINE_GROUP and capture.observed.power_state:
        content.setdefault("spec", {})["powerState"] = capture.observed.power_state
    return Manifest(content)


def _comment(title: str, *, power_state: bool) -> str:
    lines = (title, *WARNINGS, POWERED if power_state else UNPOWERED)
    return "".join(f"# {line}\n" for line in lines)
