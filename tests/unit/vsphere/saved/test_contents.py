from __future__ import annotations

import json

import pytest

from tests.emulator.vm_operator import records
from tests.unit.builders import vm
from tests.unit.vsphere.saved.vms import SECRETS, bootstrap, examined, extra_config, saved, secret
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.vsphere.saved.contents import WITHHELD, shown


def test_a_record_is_shown_without_secrets() -> None:
    meta = {
        "annotations": {
            "example.com/note": "pa55word",
            "token": "topsecret",
            "vmoperator.vmware.com/manager-id": "vc-1",
            "kubectl.kubernetes.io/last-applied-configuration": "pa55word",
            "vmoperator.vmware.com/conversion": "pa55word",
        },
        "ownerReferences": [{"kind": "VirtualMachineGroup", "name": "web", "uid": "u-1"}],
    }
    spec = {"bootstrap": bootstrap(), "className": "small", "someday": {"adminPassword": "pa55word", "size": 3}}
    content = shown(Manifest(vm("web-1", labels={"app": "web"}, meta=meta, spec=spec)))

    assert content["metadata"] == {
        "name": "web-1",
        "namespace": "shop",
        "labels": {"app": "web"},
        "annotations": {
            "example.com/note": WITHHELD,
            "token": WITHHELD,
            "vmoperator.vmware.com/manager-id": "vc-1",
        },
    }
    assert content["spec"]["className"] == "small"
    assert content["spec"]["someday"] == {"adminPassword": WITHHELD, "size": 3}
    assert content["spec"]["bootstrap"] == {
        "cloudInit": {
            "instanceID": "i-1",
            "cloudConfig": {
                "users": [
                    {
                        "name": "admin",
                        "hashed_passwd": {"name": "web-1-user-data", "key": "user-data"},
                        "plain": WITHHELD,
                    }
                ],
                "runcmd": [WITHHELD, [WITHHELD, WITHHELD, WITHHELD]],
                "write_files": [{"path": WITHHELD, "content": WITHHELD}],
            },
        },
        "vAppConfig": {"properties": [{"key": "admin", "value": {"value": WITHHELD}}]},
    }
    assert [planted for planted in SECRETS if planted in json.dumps(content)] == []


@pytest.mark.parametrize(
    "damaged",
    [
        "kind: Secret\nmetadata: {name: pa55word",
        "kind: Secret\ndata: {a: topsecret}",
        "apiVersion: v1\nkind: topsecret\nmetadata: {name: pa55word}",
        "!pa55word topsecret",
        "pa55word: &topsecret [*topsecret]",
    ],
)
def test_what_is_said_of_damaged_bootstrap_objects_quotes_nothing(damaged: str) -> None:
    examination = examined(saved(ADDITIONAL=records.encode(damaged)))
    assert [planted for planted in SECRETS if planted in repr(examination.findings)] == []
    assert examination.bootstrap == ()


def test_an_examination_holds_no_data_of_bootstrap_objects() -> None:
    examination = examined(saved(extra_config(others=[secret("web-1-user-data")])))
    assert [planted for planted in SECRETS if planted in repr(examination)] == []
