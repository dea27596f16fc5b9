from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.unit import builders
from tests.unit.builders import group, m, restore, run, service
from velero_vmservice.archive.schema import SavedStatus
from velero_vmservice.restore.plan import desired
from velero_vmservice.restore.policy import RestorePolicy
from velero_vmservice.velero.runs import RestoreRun

SIXTY_THREE = "a" * 63
LONG = "a-name-that-velero-has-to-cut-because-no-label-value-may-be-as-long-as-this"


@pytest.mark.parametrize("name", ["again", SIXTY_THREE])
def test_a_name_that_fits_is_the_label(name: str) -> None:
    assert desired.label_value(name) == name


@pytest.mark.parametrize("name", [SIXTY_THREE + "a", LONG, "b" * 253])
def test_a_longer_name_is_cut_and_closed_with_its_hash(name: str) -> None:
    value = desired.label_value(name)
    assert len(value) == 63
    assert value == name[:57] + hashlib.sha256(name.encode()).hexdigest()[:6]


def test_the_object_to_create() -> None:
    captured = m(service("front", {"app": "web"}, meta={"labels": {"mine": "1"}, "annotations": {"a": "b"}}))
    before = captured.editable()
    wanted = desired.wanted(
        captured, namespace="shop-dr", run=run(), version="v1alpha5", policy=RestorePolicy(), before=SavedStatus()
    )
    assert wanted.namespace == "shop-dr"
    assert wanted.labels == {"mine": "1", "velero.io/backup-name": "nightly", "velero.io/restore-name": "again"}
    assert wanted.annotations == {"a": "b"}
    assert wanted.spec == captured.spec
    assert captured.content == before


BEFORE = SavedStatus(cluster_ip="10.0.0.7", load_balancer=("192.0.2.10",))


@pytest.mark.parametrize(
    ("policy", "kind", "want"),
    [
        ({}, "LoadBalancer", {}),
        ({"cluster_ip": "keep"}, "ClusterIP", {"clusterIp": "10.0.0.7"}),
        ({"vip": "request"}, "LoadBalancer", {"loadBalancerIP": "192.0.2.10"}),
        ({"vip": "request"}, "ClusterIP", {}),
    ],
)
def test_addresses_come_back_only_when_asked(policy: dict[str, Any], kind: str, want: dict[str, str]) -> None:
    captured = service("front", {"app": "web"}, type=kind)
    assert builders.wanted(captured, before=BEFORE, **policy).spec == {**captured["spec"], **want}
    assert builders.wanted(group("tier"), before=BEFORE, **policy).spec == group("tier")["spec"]


@pytest.mark.parametrize("name", ["again", LONG])
def test_an_object_that_this_restore_made_is_recognised(name: str) -> None:
    this = RestoreRun.read(m(restore(name)))
    wanted = builders.wanted(group("tier"), of=this)
    assert desired.made_by(this, wanted)
    assert not desired.made_by(RestoreRun.read(m(restore("another"))), wanted)
    assert not desired.made_by(this, m(group("tier")))
