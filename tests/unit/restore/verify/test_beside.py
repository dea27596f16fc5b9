from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import m, vm
from velero_vmservice.archive.facts import vm_facts
from velero_vmservice.kube.manifest import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET, Kind
from velero_vmservice.restore.verify.vm import deviations_beside, kinds_beside
from velero_vmservice.vmoperator.virtual_machine import read_vm

BOOTSTRAP = {"cloudInit": {"rawCloudConfig": {"name": "web-1-init", "key": "data"}}}
BEFORE = vm_facts(m(vm("web-1", uid="old", claims=["data", "logs"], spec={"bootstrap": BOOTSTRAP})))
MARK = {"annotations": {"vmoperator.vmware.com/restored-vm": ""}}
IN_PLACE: dict[str, Any] = {"uid": "old", "meta": MARK, "claims": ["restored-0a1b2c", "restored-0a1b2d"]}
ANEW: dict[str, Any] = {"uid": "new", "meta": MARK, "claims": ["restored-0a1b2c"]}
LISTED = {SECRET: {"other"}, CONFIG_MAP: {"web-1-init"}, PERSISTENT_VOLUME_CLAIM: {"data", "logs", "restored-0a1b2c"}}


@pytest.mark.parametrize(
    ("why", "after", "want"),
    [
        ("restored to new", ANEW, (SECRET, CONFIG_MAP)),
        ("restored in place", IN_PLACE, (SECRET, CONFIG_MAP, PERSISTENT_VOLUME_CLAIM)),
        ("never lost", {"uid": "old", "claims": ["data", "logs"]}, ()),
    ],
)
def test_only_what_the_way_of_the_restore_promises_is_listed(
    why: str, after: dict[str, Any], want: tuple[Kind, ...]
) -> None:
    assert kinds_beside(read_vm(m(vm("web-1", **after))), BEFORE) == want, why


@pytest.mark.parametrize(
    ("why", "after", "changed", "in_use", "want"),
    [
        ("all is there, to new", ANEW, {}, (), []),
        ("no bootstrap object", ANEW, {CONFIG_MAP: set()}, (), ["bootstrap object web-1-init"]),
        ("a Secret is as good", ANEW, {CONFIG_MAP: set(), SECRET: {"web-1-init"}}, (), []),
        ("two disks are left over", IN_PLACE, {}, (), ["PVC data", "PVC logs"]),
        ("one of them is another VM's", IN_PLACE, {}, ("logs",), ["PVC data"]),
        ("both are deleted", IN_PLACE, {PERSISTENT_VOLUME_CLAIM: {"restored-0a1b2c"}}, (), []),
    ],
)
def test_objects_missing_or_left_over_beside_a_vm(
    why: str, after: dict[str, Any], changed: dict[Kind, set[str]], in_use: tuple[str, ...], want: list[str]
) -> None:
    deviations = deviations_beside(read_vm(m(vm("web-1", **after))), BEFORE, {**LISTED, **changed}, in_use=in_use)
    assert [deviation.attribute for deviation in deviations] == want, why


@pytest.mark.parametrize("lacking", [SECRET, CONFIG_MAP])
def test_a_kind_that_could_not_be_listed_is_not_compared(lacking: Kind) -> None:
    listed = {kind: set[str]() for kind in (SECRET, CONFIG_MAP) if kind != lacking}
    assert not list(deviations_beside(read_vm(m(vm("web-1", **ANEW))), BEFORE, listed, in_use=()))
