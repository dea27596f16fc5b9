from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.unit.builders import backup, m, service
from velero_vmservice.archive.link import Link, check_leads_home, read_link
from velero_vmservice.archive.schema import BackupRun, read_object_key
from velero_vmservice.errors import InvalidItem
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, Manifest, ObjectRef

LINK = "velero-plugin-for-vmservice/capture"
DIGEST = "0123456789abcdef" * 4
RUN = BackupRun.read(m(backup()))
FRONT = ObjectRef(VIRTUAL_MACHINE_SERVICE, "shop", "front")


def annotated(text: str) -> Manifest:
    return m(service("front", meta={"annotations": {LINK: text}}))


@pytest.mark.parametrize("count", [0, 1, 100, 1_000, 10_000])
def test_a_link_fits_into_32_kib_and_says_what_did_not_fit(count: int) -> None:
    names = tuple(f"virtual-machine-with-a-long-name-{number:05}" for number in range(count))
    text = Link(key="k" * 900, sha256=DIGEST, facts="f" * 64, vms=names).annotation()
    assert len(text.encode()) <= 32 * 1024
    link = read_link(annotated(text))
    assert link is not None
    assert (link.key, link.sha256, link.facts) == ("k" * 900, DIGEST, "f" * 64)
    assert link.vms == names[: len(link.vms)]
    assert len(link.vms) + link.vms_omitted == count


def test_an_item_without_link_has_none() -> None:
    assert read_link(m(service("front"))) is None


def test_a_link_of_an_earlier_release_knows_no_digest_of_the_facts() -> None:
    link = read_link(annotated(f'{{"v":1,"key":"k","sha256":"{DIGEST}","vms":[],"vms_omitted":0}}'))
    assert link == Link(key="k", sha256=DIGEST)
    assert link.facts is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"v":1}',
        f'{{"v":2,"key":"k","sha256":"{DIGEST}"}}',
        '{"v":1,"key":"k","sha256":""}',
        f'{{"v":1,"key":"","sha256":"{DIGEST}"}}',
        '{"v":1,"key":"k","sha256":null}',
        f'{{"v":1,"key":"k","sha256":"{DIGEST[:-1]}"}}',
        f'{{"v":1,"key":"k","sha256":"{DIGEST}0"}}',
        f'{{"v":1,"key":"k","sha256":"{DIGEST}\\n"}}',
        f'{{"v":1,"key":"k","sha256":"{DIGEST[:-1]}g"}}',
        f'{{"v":1,"key":"k","sha256":"{DIGEST}","facts":""}}',
        "[" * 100_000,
        f'{{"v":1,"key":"k","sha256":"{DIGEST}","vms":{"[" * 100_000}',
    ],
    ids=range(15),
)
def test_a_damaged_link_is_refused(text: str) -> None:
    with pytest.raises(InvalidItem, match="shop/front"):
        read_link(annotated(text))


@dataclass(frozen=True)
class Astray:
    key: str
    differs: str


OTHER_RUN = BackupRun.read(m(backup(started="2026-02-01T12:00:00Z")))
WEEKLY = BackupRun.read(m(backup("weekly")))
ASTRAY = [
    Astray(OTHER_RUN.object_key(FRONT), "start time 20260201T120000Z, not 20260301T120000Z"),
    Astray(WEEKLY.object_key(FRONT), "Backup weekly, not nightly"),
    Astray(RUN.object_key(ObjectRef(VIRTUAL_MACHINE_SERVICE, "bank", "front")), "namespace bank, not shop"),
    Astray(RUN.object_key(ObjectRef(VIRTUAL_MACHINE_SERVICE, "shop", "back")), "name back, not front"),
    Astray(
        RUN.object_key(ObjectRef(VIRTUAL_MACHINE_GROUP, "shop", "front")),
        "resource virtualmachinegroups, not virtualmachineservices",
    ),
    Astray(RUN.namespace_key("shop"), "not the key of a captured object"),
    Astray(RUN.seal_key, "not the key of a captured object"),
    Astray("", "not the key of a captured object"),
    Astray(f"{RUN.prefix}objects/virtualmachineservices/shop/../bank/front.json", "not the key of a captured object"),
    Astray(f"x/{RUN.object_key(FRONT)}", "not the key of a captured object"),
    Astray(f"{RUN.object_key(FRONT)}\n", "not the key of a captured object"),
]


@pytest.mark.parametrize("case", ASTRAY, ids=range(len(ASTRAY)))
def test_a_link_that_leads_elsewhere_is_refused_by_what_differs(case: Astray) -> None:
    with pytest.raises(InvalidItem, match="VirtualMachineService shop/front") as caught:
        check_leads_home(case.key, FRONT, RUN)
    assert case.differs in caught.value.message


def test_a_link_to_the_objects_own_capture_is_taken() -> None:
    check_leads_home(RUN.object_key(FRONT), FRONT, RUN)


def test_the_key_of_a_captured_object_names_the_object() -> None:
    object_key = read_object_key(RUN.object_key(FRONT))
    assert object_key is not None
    assert (object_key.backup, object_key.started) == ("nightly", "20260301T120000Z")
    assert (object_key.plural, object_key.namespace, object_key.name) == ("virtualmachineservices", "shop", "front")
