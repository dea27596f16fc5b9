"""What the release of the golden files has stored, and the operations that it has begun, are gone on with."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

import yaml

from tests.golden import masks
from tests.golden.conftest import DOCUMENTS
from tests.golden.masks import replaced
from tests.golden.test_story import LINK, canonical

if TYPE_CHECKING:
    from pathlib import Path

    from tests.golden.story import Story
    from tests.unit.builders import Json

CAPTURE = "captures/nightly/20260301T120000Z"
RESULTS = "restores/again/20260301T120000Z"
ENDED_AS = ("kind", "namespace", "name", "stage", "action", "selected", "members", "endpoints", "machines")


def test_a_capture_and_operations_of_an_earlier_release_are_restored_from(story: Story) -> None:
    digests = store(story)
    story.go_on([operation_id(entry, digests) for entry in read(DOCUMENTS / "operations/ids.yaml") if of_first(entry)])
    before = {path.relative_to(DOCUMENTS / "bucket").with_suffix(".json").as_posix(): read(path) for path in results()}
    assert {key: ended_as(story.world.document(key)) for key in before} == {
        key: ended_as(content) for key, content in before.items()
    }


def test_the_items_of_an_earlier_release_are_restored(story: Story) -> None:
    digests = store(story)
    story.restore([with_link(outcome["item"], digests) for outcome in read(DOCUMENTS / "items/items.yaml")])
    assert story.world.document(f"{RESULTS}/report.json")["outcome"] == "mixed"


def store(story: Story) -> dict[str, str]:
    """Store the golden capture, the seal last; return the digest of each document by the words that stand for it."""
    digests: dict[str, str] = {}
    root = DOCUMENTS / "bucket" / CAPTURE
    paths = [path for path in sorted(root.rglob("*.yaml")) if path.name != "capture.yaml"]
    for path in [*paths, root / "capture.yaml"]:
        key = path.relative_to(DOCUMENTS / "bucket").with_suffix(".json").as_posix()
        body = canonical(replaced(read(path), masks.SEAL_DIGESTS, digests.__getitem__))
        sha256 = hashlib.sha256(body).hexdigest()
        story.world.store.put(key, body, sha256=sha256)
        digests[f"<digest of {key}>"] = sha256
    return digests


def with_link(item: Json, digests: dict[str, str]) -> Json:
    link = replaced(item["metadata"]["annotations"][LINK], masks.LINK_DIGESTS, digests.__getitem__)
    item["metadata"]["annotations"][LINK] = canonical(link).decode()
    return item


def operation_id(entry: Json, digests: dict[str, str]) -> str:
    content = replaced(entry["packed"], masks.LINK_DIGESTS, digests.__getitem__)
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return entry["prefix"] + base64.urlsafe_b64encode(zlib.compress(text, level=9)).decode().rstrip("=")


def of_first(entry: Json) -> bool:
    return entry.get("packed", {}).get("target") == "shop"


def results() -> list[Path]:
    return [path for path in (DOCUMENTS / "bucket" / RESULTS).rglob("*.yaml") if path.name != "report.yaml"]


def ended_as(result: Json) -> Json:
    """Return what became of an object, without what a later release says of it in addition."""
    kept = {field: result[field] for field in ENDED_AS}
    names = ("name", "registered", "restore_type", "power_after", "backup_version")
    return {**kept, "machines": [{field: one[field] for field in names} for one in result["machines"]]}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
