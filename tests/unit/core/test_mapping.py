from __future__ import annotations

import hashlib

import pytest

from tests.unit.builders import group, m, restore, run, service
from velero_vmservice.core import mapping
from velero_vmservice.core.operation import RestoreRun

SIXTY_THREE = "a" * 63
LONG = "a-name-that-velero-has-to-cut-because-no-label-value-may-be-as-long-as-this"


@pytest.mark.parametrize("name", ["again", SIXTY_THREE])
def test_a_name_that_fits_is_the_label(name: str) -> None:
    assert mapping.label_value(name) == name


@pytest.mark.parametrize("name", [SIXTY_THREE + "a", LONG, "b" * 253])
def test_a_longer_name_is_cut_and_closed_with_its_hash(name: str) -> None:
    value = mapping.label_value(name)
    assert len(value) == 63
    assert value == name[:57] + hashlib.sha256(name.encode()).hexdigest()[:6]


def test_the_object_to_create() -> None:
    captured = m(service("front", {"app": "web"}, meta={"labels": {"mine": "1"}, "annotations": {"a": "b"}}))
    before = captured.editable()
    wanted, trimmed = mapping.wanted(captured, namespace="shop-dr", run=run(), served=("v1alpha5",))
    assert trimmed == ()
    assert wanted.namespace == "shop-dr"
    assert wanted.labels == {"mine": "1", "velero.io/backup-name": "nightly", "velero.io/restore-name": "again"}
    assert wanted.annotations == {"a": "b"}
    assert wanted.spec == captured.spec
    assert captured.content == before


def test_an_older_target_gets_what_it_knows() -> None:
    captured = m(group("tier"))
    content = captured.editable()
    content["apiVersion"] = "vmoperator.vmware.com/v1alpha6"
    content["spec"]["bootOrder"] = [{"members": [], "powerOffDelay": "10s", "powerOnDelay": "5s"}]
    wanted, trimmed = mapping.wanted(m(content), namespace="shop", run=run(), served=("v1alpha4",))
    assert wanted.content["apiVersion"] == "vmoperator.vmware.com/v1alpha4"
    assert wanted.spec["bootOrder"] == [{"members": [], "powerOnDelay": "5s"}]
    assert trimmed == ("spec.bootOrder[0].powerOffDelay",)


@pytest.mark.parametrize("name", ["again", LONG])
def test_what_this_restore_made_is_recognised(name: str) -> None:
    this = RestoreRun.read(m(restore(name)))
    wanted, _ = mapping.wanted(m(group("tier")), namespace="shop", run=this, served=("v1alpha5",))
    assert mapping.made_by(this, wanted)
    assert not mapping.made_by(RestoreRun.read(m(restore("another"))), wanted)
    assert not mapping.made_by(this, m(group("tier")))
