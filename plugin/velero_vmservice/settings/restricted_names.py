"""The names that `restricted.add` and `restricted.remove` may hold; a name without effect would be found too late."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import CAPTURED_KINDS
from velero_vmservice.settings_faults import did_you_mean
from velero_vmservice.vmoperator.restricted import COMMON_RESOURCES, DECLARED_RESOURCES, restricted_resources

if TYPE_CHECKING:
    from collections.abc import Iterable

_CORE: Final = frozenset(
    {
        "bindings",
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "serviceaccounts",
        "services",
    }
)
"""Resources without a group; source: the Kubernetes API reference, core/v1."""

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})+")
_VERSION: Final = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")
_CAPTURED: Final = frozenset(kind.resource for kind in CAPTURED_KINDS)


def checked_addition(name: str) -> str:
    """Return the name if it is a possible name of a resource; raises `ValueError` with its fault."""
    _check_form(name, {*_restrictable(), *COMMON_RESOURCES})
    if name in _CAPTURED:
        raise ValueError("is a kind that the plugin captures, which cannot be left to the Supervisor")
    return name


def checked_removal(name: str) -> str:
    """Return the name if it is on the list; raises `ValueError` with a suggestion."""
    known = _restrictable()
    _check_form(name, known)
    if name in _CAPTURED:
        raise ValueError("is a kind that the plugin captures: it is not left to the Supervisor, remove the line")
    if name not in known:
        raise ValueError(f"is not on the list of restricted resources{did_you_mean(_closest(name, known))}")
    return name


def _restrictable() -> frozenset[str]:
    """Return the names that are or may be on the list, by what is known without the cluster."""
    return restricted_resources(supervisor=True).union(DECLARED_RESOURCES, _CAPTURED)


def _check_form(name: str, known: Iterable[str]) -> None:
    if name in _CORE:
        return
    if "/" in name or _VERSION.fullmatch(name.partition(".")[2].partition(".")[0]):
        raise ValueError(f"names a version: write plural.group alone{did_you_mean(_closest(name, known))}")
    if not _NAME.fullmatch(name):
        written = "has to be written as plural.group in lower case, as kubectl api-resources -o name does"
        raise ValueError(f"{written}{did_you_mean(_closest(name, known))}")


def _closest(name: str, known: Iterable[str]) -> str:
    """Return the most similar known name: by the whole name, by its plural, or by its kind."""
    names = sorted(known)
    spelled = name.lower().partition("/")[0]
    plural, _, rest = spelled.partition(".")
    version, _, group = rest.partition(".")
    if _VERSION.fullmatch(version):
        spelled = f"{plural}.{group}"
    for candidate in names:
        of_kind = candidate.partition(".")[0] in {plural, f"{plural}s", f"{plural}es"}
        if of_kind and spelled in {candidate, plural}:
            return candidate
    return next(iter(difflib.get_close_matches(spelled, names, n=1, cutoff=0.8)), "")
