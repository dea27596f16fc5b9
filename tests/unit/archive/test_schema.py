from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import backup, facts, group, m, service, vm
from velero_vmservice import documents
from velero_vmservice.archive import schema
from velero_vmservice.archive.link import Link
from velero_vmservice.archive.schema import BackupRun, Capture, Provenance, Seal
from velero_vmservice.errors import Corrupt, InvalidItem
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, ObjectRef

if TYPE_CHECKING:
    from velero_vmservice.documents import Document

PREFIX = "captures/nightly/20260301T120000Z/"
ORIGIN = Provenance(backup="nightly", backup_started="20260301T120000Z", captured_at="now", plugin="1")


def test_layout() -> None:
    run = BackupRun.read(m(backup()))
    service_ref = ObjectRef(VIRTUAL_MACHINE_SERVICE, "shop", "front")
    group_ref = ObjectRef(VIRTUAL_MACHINE_GROUP, "shop", "tier")
    assert run.object_key(service_ref) == f"{PREFIX}objects/virtualmachineservices/shop/front.json"
    assert run.object_key(group_ref) == f"{PREFIX}objects/virtualmachinegroups/shop/tier.json"
    assert run.namespace_key("shop") == f"{PREFIX}namespaces/shop.json"
    assert run.seal_key == f"{PREFIX}capture.json"
    assert schema.SUBDIRECTORY == "plugins/vmservice"


@pytest.mark.parametrize(
    "started", ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00.000000Z"]
)
def test_a_run_has_one_spelling_of_its_start(started: str) -> None:
    run = BackupRun.read(m(backup(started=started)))
    assert run.prefix == PREFIX
    assert schema.moment(run.started) == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_backup_that_has_not_started_has_no_run() -> None:
    with pytest.raises(InvalidItem, match="nightly"):
        BackupRun.read(m({**backup(), "status": {}}))


def test_canonical_bytes_do_not_depend_on_the_order_of_keys() -> None:
    capture = Capture(kind="K", namespace="n", name="ä", manifest={"b": 1, "a": {"d": 2, "c": 3}}, provenance=ORIGIN)
    two = Capture(kind="K", namespace="n", name="ä", manifest={"a": {"c": 3, "d": 2}, "b": 1}, provenance=ORIGIN)
    assert documents.canonical(capture) == documents.canonical(two)
    text = documents.canonical(capture).decode("utf-8")
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False) == text
    assert "ä" in text


@pytest.mark.parametrize(
    "whole",
    [
        facts(vm("web-1", labels={"b": "ä", "a": "1"}), vm("web-2"), group("tier", ["web-1", "web-2"])),
        Capture(kind="K", namespace="n", name="x", manifest={"b": [1, None], "a": math.inf}, provenance=ORIGIN),
        Seal(backup="b", backup_started="s", sealed_at="t", plugin="1", withheld={"pods": 2, "nodes": 1}),
        Link(key="k", sha256="5" * 64, facts="f" * 64, vms=("web-2", "web-1")),
    ],
    ids=lambda whole: type(whole).__name__,
)
def test_a_document_written_piece_by_piece_is_the_json_of_the_whole(whole: Document) -> None:
    content = whole.model_dump(mode="json")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert documents.canonical(whole).decode() == text


def test_digest_is_sha256_in_hexadecimal() -> None:
    assert documents.digest(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_a_document_is_read_back_as_it_was_written() -> None:
    capture = Capture(kind="K", namespace="n", name="x", manifest={"spec": {"a": [1, None]}}, provenance=ORIGIN)
    assert documents.parse(Capture, documents.canonical(capture), key="k") == capture


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"schema_version":2}', b"\xff\xfe", b"null"])
def test_bytes_that_are_no_document_are_corrupt_and_named(body: bytes) -> None:
    with pytest.raises(Corrupt, match=r"captures/a\.json"):
        documents.parse(Seal, body, key="captures/a.json")


def test_a_document_of_a_newer_schema_is_refused() -> None:
    seal = documents.canonical(Seal(backup="b", backup_started="s", sealed_at="t", plugin="1"))
    newer = seal.replace(b'"schema_version":1', b'"schema_version":2')
    assert newer != seal
    with pytest.raises(Corrupt, match="newer release"):
        documents.parse(Seal, newer, key="k")


def test_fields_of_a_newer_writer_are_left_out() -> None:
    seal = Seal(backup="b", backup_started="s", sealed_at="t", plugin="1")
    body = documents.canonical(seal).replace(b'"schema_version":1', b'"new_field":1,"schema_version":1')
    assert documents.parse(Seal, body, key="k") == seal


def test_fields_that_sanitising_drops_are_kept_beside_the_manifest() -> None:
    ingress = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "lb.example.com"}, None]}}
    observed = schema.observed(m(service("front", clusterIp="10.0.0.7", more={"status": ingress})))
    assert observed.cluster_ip == "10.0.0.7"
    assert observed.load_balancer == ("192.0.2.7", "lb.example.com")
    assert schema.observed(m(group("tier", powerState="PoweredOn"))).power_state == "PoweredOn"
