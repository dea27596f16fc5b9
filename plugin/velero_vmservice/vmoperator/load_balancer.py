"""A service that moves to another site: traces of its load balancer, and values that a user has to change.

VM Operator treats every cluster with NSX or VPC networking as `nsx-t-lb`, and any other as one without a provider
(virtualmachineservice_controller.go, getLoadBalancerProvider). Values that `nsx-t-lb` writes back onto a
VirtualMachineService stay there (vm-service 4.2), and have no meaning elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal

from velero_vmservice.documents import Dropped
from velero_vmservice.kube.manifest import NETWORK_SETTINGS, VIRTUAL_MACHINE_SERVICE, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable

NSX_GROUPS: Final = ("crd.nsx.vmware.com", "nsx.vmware.com", "vmware.com")
"""VPC (NSX Operator), and NSX-T (NSX Container Plugin: `ncpconfigs`, and `virtualnetworks`)."""
VDS_GROUP: Final = NETWORK_SETTINGS.group
"""vSphere distributed switches (Network Operator), since 9.1 also beside NSX."""

RESIDUE_PREFIXES: Final = {"ncp/": "read or written by the NSX Container Plugin of the lost site"}
RESIDUE: Final = {
    "ako.vmware.com/controller-cluster-uuid": "written by Avi Kubernetes Operator: names its lost controller",
    "ako.vmware.com/host-fqdn-vs-uuid-map": "written by Avi Kubernetes Operator: names its lost virtual services",
}
"""Annotations of the controllers (NCP's documentation; AKO, internal/lib/constants.go and status updates)."""
RESIDUE_LABELS: Final = {
    "service.kubernetes.io/service-proxy-name": "written by VM Operator for nsx-t-lb; here it would hide the Service"
    " from kube-proxy",
}

FOR_A_PERSON: Final = {
    "nsx.vmware.com/hostname": "the host name that NSX makes a certificate and a DNS record for",
    "nsx.vmware.com/hostnames": "the host names that NSX makes a certificate for",
    "external-dns.alpha.kubernetes.io/hostname": "the host name that is published in DNS",
    "ako.vmware.com/load-balancer-ip": "the address that is requested from Avi",
}
"""Annotations of the user that depend on the site: kept, with a note (loadbalancer_provider.go, nsx-operator, AKO)."""


class Provider(StrEnum):
    """The kind of load balancer that VM Operator assumes for a cluster."""

    NSX = "nsx"
    OTHER = "other"
    UNKNOWN = "unknown"


_BY_SETTINGS: Final = {"vpc": Provider.NSX, "nsx-tier1": Provider.NSX, "vsphere-distributed": Provider.OTHER}
"""`provider` of NetworkSettings (networksettings.go, NetworkProviderToType)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A cluster's load-balancer provider, with the evidence as a clause."""

    provider: Provider
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteChange:
    """An object adapted to another site."""

    manifest: Manifest
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    """Notes on values that a user has to check."""


def site(serves: Callable[[str], bool], settings: Manifest | None = None) -> Site:
    """Return a cluster's provider.

    Args:
        serves: whether the cluster serves an API group.
        settings: the NetworkSettings `default` of the namespace, if it exists (9.1 and later): VM Operator follows it
            once networking is chosen by namespace.
    """
    if settings is not None and (named := str(settings.content.get("provider", ""))) in _BY_SETTINGS:
        return Site(
            provider=_BY_SETTINGS[named],
            evidence=f"{NETWORK_SETTINGS.name} {settings.namespace}/{settings.name} says {named}",
        )
    if group := next((group for group in NSX_GROUPS if serves(group)), ""):
        return Site(provider=Provider.NSX, evidence=f"the API group {group} of NSX is served")
    if serves(VDS_GROUP):
        return Site(provider=Provider.OTHER, evidence=f"the API group {VDS_GROUP} is served, and none of NSX")
    return Site(
        provider=Provider.UNKNOWN, evidence=f"none of the API groups {', '.join((*NSX_GROUPS, VDS_GROUP))} is served"
    )


def provider(serves: Callable[[str], bool]) -> Provider:
    """Return a cluster's provider by the API groups that it serves."""
    return site(serves).provider


def cross_site(
    manifest: Manifest, *, source: Provider, target: Provider, site: Literal["detect", "same", "cross"] = "detect"
) -> SiteChange:
    """Remove traces of the source site's load balancer from a service, and note values that name that site.

    Args:
        manifest: the object to create; only a VirtualMachineService is ever changed.
        source: the provider where it was captured.
        target: the provider where it is replayed.
        site: the administrator's setting. `detect` takes another provider for another site; `cross` says that it is
            another site: values of one provider then stay only if both are known to have that provider.
    """
    alike = source is target and source is not Provider.UNKNOWN
    known = Provider.UNKNOWN not in {source, target}
    if manifest.kind_name != VIRTUAL_MACHINE_SERVICE.name or site == "same":
        return SiteChange(manifest=manifest)
    if site == "detect" and (alike or not known):
        return SiteChange(manifest=manifest)
    content = manifest.editable()
    dropped = () if alike else tuple(_drop(content["metadata"]))
    return SiteChange(manifest=Manifest(content), dropped=dropped, notes=_notes(manifest))


def _drop(metadata: dict[str, Any]) -> list[Dropped]:
    dropped: list[Dropped] = []
    for field, reason_of in (("annotations", _residue), ("labels", RESIDUE_LABELS.get)):
        entries = metadata.get(field)
        if not isinstance(entries, dict):
            continue
        for key in sorted(entries):
            if reason := reason_of(key):
                del entries[key]
                dropped.append(Dropped(path=f"metadata.{field}[{key}]", reason=reason))
        if not entries:
            del metadata[field]
    return dropped


def _residue(key: str) -> str | None:
    by_prefix = (reason for prefix, reason in RESIDUE_PREFIXES.items() if key.startswith(prefix))
    return RESIDUE.get(key) or next(by_prefix, None)


def _notes(manifest: Manifest) -> tuple[str, ...]:
    return tuple(
        f"metadata.annotations[{key}] is {manifest.annotations[key]!r}, {meaning}: it is kept as captured; if it"
        " belongs to the other site, change it once the service is replayed"
        for key, meaning in FOR_A_PERSON.items()
        if manifest.annotations.get(key)
    )
