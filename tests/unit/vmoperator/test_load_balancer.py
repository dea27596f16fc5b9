from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import Json, group, m, obj, service
from velero_vmservice.vmoperator.load_balancer import Provider, cross_site, provider, site

if TYPE_CHECKING:
    from typing import Literal

NSX, OTHER, UNKNOWN = Provider.NSX, Provider.OTHER, Provider.UNKNOWN


@pytest.mark.parametrize(
    ("why", "groups", "want", "evidence"),
    [
        ("VPC", {"crd.nsx.vmware.com"}, NSX, "crd.nsx.vmware.com of NSX"),
        ("NSX-T", {"vmware.com", "nsx.vmware.com"}, NSX, "nsx.vmware.com of NSX"),
        ("NSX-T, virtual networks only", {"vmware.com"}, NSX, "vmware.com of NSX"),
        ("distributed switches", {"netoperator.vmware.com"}, OTHER, "netoperator.vmware.com is served, and none"),
        ("NSX beside Network Operator", {"netoperator.vmware.com", "crd.nsx.vmware.com"}, NSX, "crd.nsx.vmware.com"),
        ("no Supervisor", {"apps"}, UNKNOWN, "none of the API groups crd.nsx.vmware.com, nsx.vmware.com"),
    ],
)
def test_the_provider_follows_from_the_api_groups(why: str, groups: set[str], want: Provider, evidence: str) -> None:
    network_provider = site(groups.__contains__)
    assert (why, network_provider.provider, provider(groups.__contains__)) == (why, want, want)
    assert evidence in network_provider.evidence


@pytest.mark.parametrize(
    ("setting", "want"),
    [("vpc", NSX), ("nsx-tier1", NSX), ("vsphere-distributed", OTHER), ("something-new", NSX), ("", NSX)],
)
def test_the_settings_of_a_namespace_come_first_if_they_are_understood(setting: str, want: Provider) -> None:
    settings = m(obj("NetworkSettings", "default", api="netoperator.vmware.com/v1alpha1", provider=setting))
    provider = site({"vmware.com", "netoperator.vmware.com"}.__contains__, settings)
    assert provider.provider is want
    assert ("NetworkSettings shop/default says" in provider.evidence) is (
        setting in {"vpc", "nsx-tier1", "vsphere-distributed"}
    )


KEPT = {
    "team": "shop",
    "nsx.vmware.com/hostname": "shop.west.example.com",
    "virtualmachineservice.vmoperator.vmware.com/service.healthCheckNodePort": "31000",
    "aviinfrasetting.ako.vmware.com/name": "gold",
}


def front() -> Json:
    annotations = {
        **KEPT,
        "ncp/healthCheckNodePort": "31000",
        "ncp/error.loadbalancer": "IP_POOL_EXHAUSTED",
        "ako.vmware.com/host-fqdn-vs-uuid-map": "{}",
    }
    labels = {"app": "web", "service.kubernetes.io/service-proxy-name": "nsx-t"}
    return service("front", {"app": "web"}, meta={"annotations": annotations, "labels": labels})


DROPPED = [
    "metadata.annotations[ako.vmware.com/host-fqdn-vs-uuid-map]",
    "metadata.annotations[ncp/error.loadbalancer]",
    "metadata.annotations[ncp/healthCheckNodePort]",
    "metadata.labels[service.kubernetes.io/service-proxy-name]",
]


@pytest.mark.parametrize(
    ("source", "target", "setting", "drops", "notes"),
    [
        (NSX, OTHER, "detect", True, True),
        (OTHER, NSX, "detect", True, True),
        (NSX, NSX, "detect", False, False),
        (UNKNOWN, OTHER, "detect", False, False),
        (UNKNOWN, UNKNOWN, "detect", False, False),
        (NSX, OTHER, "same", False, False),
        (NSX, OTHER, "cross", True, True),
        (NSX, NSX, "cross", False, True),
        (UNKNOWN, NSX, "cross", True, True),
        (UNKNOWN, UNKNOWN, "cross", True, True),
    ],
)
def test_residue_goes_with_the_provider_and_host_names_are_reported_at_another_site(
    source: Provider,
    target: Provider,
    setting: Literal["detect", "same", "cross"],
    drops: bool,  # noqa: FBT001 - a table
    notes: bool,  # noqa: FBT001 - a table
) -> None:
    before = m(front())
    change = cross_site(before, source=source, target=target, site=setting)
    assert [field.path for field in change.dropped] == (DROPPED if drops else [])
    assert all(field.reason for field in change.dropped)
    assert bool(change.notes) is notes
    assert KEPT.items() <= change.manifest.annotations.items()
    assert change.manifest.spec == before.spec
    assert before.content == front()
    if drops:
        assert change.manifest.annotations == KEPT
        assert change.manifest.labels == {"app": "web"}
    else:
        assert change.manifest.content == before.content


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nsx.vmware.com/hostname", "shop.west.example.com"),
        ("nsx.vmware.com/hostnames", "a.example.com,b.example.com"),
        ("external-dns.alpha.kubernetes.io/hostname", "shop.example.com"),
        ("ako.vmware.com/load-balancer-ip", "192.0.2.7"),
    ],
)
def test_a_field_that_names_a_site_is_kept_and_reported_with_its_value(key: str, value: str) -> None:
    given = m(service("front", meta={"annotations": {key: value}}))
    change = cross_site(given, source=NSX, target=OTHER)
    assert change.manifest.annotations == {key: value}
    (note,) = change.notes
    assert f"metadata.annotations[{key}] is '{value}'" in note
    assert "change it once the service is replayed" in note


def test_nothing_empty_is_left_behind() -> None:
    given = m(service("front", meta={"annotations": {"ncp/x": "y"}, "labels": {}}))
    change = cross_site(given, source=NSX, target=OTHER)
    assert change.manifest.metadata == {"name": "front", "namespace": "shop"}


def test_a_group_is_never_changed() -> None:
    given = m(group("tier", meta={"annotations": {"ncp/x": "y"}}))
    assert cross_site(given, source=NSX, target=OTHER, site="cross").manifest is given
