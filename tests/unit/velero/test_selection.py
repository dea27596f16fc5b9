from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_SERVICE, ObjectRef
from velero_vmservice.velero.selection import selected

FRONT = ObjectRef(VIRTUAL_MACHINE_SERVICE, "shop", "front")
LABELS = {"app": "shop", "tier": "web"}


@dataclass(frozen=True)
class Case:
    why: str
    spec: dict[str, Any] = field(default_factory=dict)
    want: bool = True


def expression(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"labelSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}}


@pytest.mark.parametrize(
    "case",
    [
        Case(why="nothing asked is everything"),
        Case(why="everything is asked", spec={"includedNamespaces": ["*"], "includedResources": ["*"]}),
        Case(why="its namespace", spec={"includedNamespaces": ["shop"]}),
        Case(why="a pattern", spec={"includedNamespaces": ["sh*"]}),
        Case(why="another namespace", spec={"includedNamespaces": ["other"]}, want=False),
        Case(why="excluded namespace", spec={"excludedNamespaces": ["shop"]}, want=False),
        Case(why="its plural", spec={"includedResources": ["virtualmachineservices"]}),
        Case(why="its singular", spec={"includedResources": ["virtualmachineservice"]}),
        Case(why="its kind", spec={"includedResources": ["VirtualMachineService"]}),
        Case(why="its short name", spec={"includedResources": ["vmservice"]}),
        Case(why="short name and group", spec={"includedResources": ["vmservice.vmoperator.vmware.com"]}),
        Case(why="the beginning of its group", spec={"includedResources": ["vmservice.vmoperator"]}),
        Case(why="another's short name", spec={"includedResources": ["vmg"]}, want=False),
        Case(why="a short name is told by its case", spec={"includedResources": ["VMService"]}, want=False),
        Case(why="a pattern of its full name", spec={"includedResources": ["virtualmachine*"]}),
        Case(why="a pattern of its plural alone", spec={"includedResources": ["virtualmachineservic?"]}, want=False),
        Case(why="braces of resources", spec={"includedResources": ["{virtualmachine*,configmaps}"]}),
        Case(why="excluded by its short name", spec={"excludedResources": ["vmservice"]}, want=False),
        Case(why="excluded by its kind", spec={"excludedResources": ["virtualMachineService"]}, want=False),
        Case(why="excluded by a pattern", spec={"excludedResources": ["*.vmoperator.vmware.com"]}, want=False),
        Case(why="everything excluded is nothing", spec={"excludedResources": ["*"]}),
        Case(why="a name of nothing", spec={"includedResources": ["vmsvc"]}, want=False),
        Case(why="excluded with another", spec={"includedResources": ["*"], "excludedResources": ["vmg"]}),
        Case(why="braces", spec={"includedNamespaces": ["{shop,crm}"]}),
        Case(why="braces of others", spec={"includedNamespaces": ["{blog,crm}"]}, want=False),
        Case(why="excluded braces", spec={"excludedNamespaces": ["{crm,sh*}"]}, want=False),
        Case(why="a class", spec={"includedNamespaces": ["[a-s]hop"]}),
        Case(why="not in a class", spec={"includedNamespaces": ["[!s]hop"]}, want=False),
        Case(why="a pattern that cannot be read", spec={"includedNamespaces": ["[shop"]}, want=False),
        Case(why="resource and group", spec={"includedResources": ["virtualmachineservices.vmoperator.vmware.com"]}),
        Case(why="another kind", spec={"includedResources": ["configmaps"]}, want=False),
        Case(why="excluded kind", spec={"excludedResources": ["virtualmachineservices"]}, want=False),
        Case(why="labels", spec={"labelSelector": {"matchLabels": {"app": "shop"}}}),
        Case(why="other labels", spec={"labelSelector": {"matchLabels": {"app": "blog"}}}, want=False),
        Case(why="In", spec=expression("In", "tier", "web", "db")),
        Case(why="not In", spec=expression("In", "tier", "db"), want=False),
        Case(why="NotIn", spec=expression("NotIn", "tier", "db")),
        Case(why="Exists", spec=expression("Exists", "tier")),
        Case(why="DoesNotExist", spec=expression("DoesNotExist", "tier"), want=False),
        Case(why="an operator that does not exist", spec=expression("Near", "tier"), want=False),
        Case(
            why="one of several",
            spec={"orLabelSelectors": [{"matchLabels": {"app": "blog"}}, {"matchLabels": {"tier": "web"}}]},
        ),
        Case(why="none of several", spec={"orLabelSelectors": [{"matchLabels": {"app": "blog"}}]}, want=False),
    ],
    ids=lambda c: c.why,
)
def test_a_restore_is_read_with_its_backup_and_mapping(case: Case) -> None:
    assert selected(case.spec, FRONT, LABELS) is case.want
