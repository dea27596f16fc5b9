"""What 0.1.0 has stored is restored from, and operations that it has begun are gone on with.

Its documents, items and ids lie in `earlier/0.1.0`, as golden files of that time; `--renew` leaves them alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.golden import masks
from tests.golden.masks import replaced
from tests.golden.test_story import LINK, canonical

if TYPE_CHECKING:
    from tests.golden.story import Story
    from tests.unit.builders import Json

EARLIER = Path(__file__).parent / "earlier" / "0.1.0"
REPORT = "restores/again/20260301T120000Z/report.json"
ENDED = {
    "shop": ("verified", "create", []),
    "db": ("verified", "create", []),
    "web": ("verified", "create", []),
    "cache": ("verified", "create", []),
    "": ("verified", "skip-identical", ["alone"]),
    "admin": ("retained", "retain", ["web-1", "web-2"]),
    "front": ("verified", "create", ["web-1", "web-2"]),
    "late": ("cancelled", "wait", ["late-1"]),
    "side": ("incomplete", "create", ["cache-1"]),
    "taken": ("failed", "conflict", ["web-1", "web-2"]),
}
"""Stage, action and selected VMs of each object."""


def test_its_items_are_restored(story: Story) -> None:
    digests = stored(story)
    story.restore([with_link(outcome["item"], digests) for outcome in read("items")])
    assert ended(story) == ENDED


def test_its_operations_are_gone_on_with(story: Story) -> None:
    digests = stored(story)
    story.go_on([operation_id(entry, digests) for entry in read("ids")])
    assert ended(story) == ENDED


def ended(story: Story) -> dict[str, tuple[str, str, list[str]]]:
    objects = story.world.document(REPORT)["objects"]
    return {result["name"]: (result["stage"], result["action"], result["selected"]) for result in objects}


def stored(story: Story) -> dict[str, str]:
    """Store the capture, its seal last; return the digest of each document by the words that stand for it."""
    digests: dict[str, str] = {}
    for path in sorted((EARLIER / "captures").rglob("*.yaml"), key=lambda path: path.name == "capture.yaml"):
        key = path.relative_to(EARLIER).with_suffix(".json").as_posix()
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        body = canonical(replaced(content, masks.SEAL_DIGESTS, digests.__getitem__))
        digests[f"<digest of {key}>"] = hashlib.sha256(body).hexdigest()
        story.world.store.put(key, body, sha256=digests[f"<digest of {key}>"])
    return digests


def with_link(item: Json, digests: dict[str, str]) -> Json:
    annotations = item["metadata"]["annotations"]
    link = replaced(annotations[LINK], masks.LINK_DIGESTS, digests.__getitem__)
    return {**item, "metadata": {**item["metadata"], "annotations": {**annotations, LINK: canonical(link).decode()}}}


def operation_id(entry: Json, digests: dict[str, str]) -> str:
    content = replaced(entry["packed"], masks.LINK_DIGESTS, digests.__getitem__)
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return entry["prefix"] + base64.urlsafe_b64encode(zlib.compress(text, level=9)).decode().rstrip("=")


def read(name: str) -> Any:
    return yaml.safe_load((EARLIER / f"{name}.yaml").read_text(encoding="utf-8"))
