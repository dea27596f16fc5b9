"""What the plugin stores and writes while one application is backed up and restored, byte for byte but for `masks`."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

from tests.golden import masks
from tests.golden.masks import masked, replaced
from velero_vmservice import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.golden.conftest import Golden
    from tests.golden.story import Story

LINK = "velero-plugin-for-vmservice/capture"


def test_the_documents_in_the_bucket(story: Story, golden: Golden) -> None:
    story.whole()
    keys = list(story.world.store.list(""))
    golden("bucket", {key.removesuffix(".json"): readable(story, key) for key in keys if key.endswith(".json")})
    golden("keys", {"keys": [story.world.store.where(key) for key in keys]})


def test_the_answers_to_velero_at_backup(story: Story, golden: Golden) -> None:
    story.back_up()
    outcomes = [{**outcome, "item": with_readable_link(story, outcome["item"])} for outcome in story.outcomes]
    golden("items", {"items": outcomes})


def test_operation_ids(story: Story, golden: Golden) -> None:
    story.whole()
    golden("operations", {"ids": [readable_id(story, operation) for operation in dict.fromkeys(story.operations)]})


def test_the_writes_to_the_cluster(story: Story, golden: Golden) -> None:
    story.whole()
    writes = [masked(write, ("create.data.holder",), masks.HOLDER) for write in story.writes]
    events = [
        {
            "about": str(event.about),
            "uid": event.uid,
            "reason": event.reason,
            "type": "Warning" if event.warning else "Normal",
            "message": masks.PROSE,
        }
        for event in story.world.cluster.events
    ]
    golden("cluster", {"writes": writes, "events": events})


def test_the_json_of_the_commands(story: Story, golden: Golden) -> None:
    story.back_up()
    plan = printed(story, "plan", "nightly")
    story.restore(story.items())
    status = printed(story, "registration", "status", "nightly")
    reports = printed(story, "report", "list")
    resumed = story.resume()
    golden(
        "output",
        {
            "plan": masked(plan, masks.PLAN_SENTENCES, masks.PROSE),
            "registration-status": masked(status, masks.STATUS_SENTENCES, masks.PROSE),
            "report-list": reports,
            "restore-policy": resumed.lines[0],
        },
    )


def printed(story: Story, *arguments: str) -> Any:
    return json.loads(story.run(*arguments, "-o", "json").out)


def readable(story: Story, key: str) -> Any:
    """Return a stored document, which is canonical JSON: its content has one spelling."""
    body = story.world.store.get(key)
    content = json.loads(body)
    assert body == canonical(content)
    return without_what_may_differ(content, key, digests(story))


def without_what_may_differ(content: Any, key: str, named: Mapping[str, str]) -> Any:
    if "/objects/" in key:
        content = replaced(content, masks.CAPTURE_VERSIONS, own_version)
        return masked(content, masks.CAPTURE_SENTENCES, masks.PROSE)
    content = replaced(content, masks.DOCUMENT_VERSIONS, own_version)
    if key.endswith("capture.json"):
        content = masked(content, masks.SEAL_SENTENCES, masks.PROSE)
        return replaced(content, masks.SEAL_DIGESTS, lambda sha256: named[sha256])
    if key.endswith("report.json"):
        assert content["next_steps"] == ["\n".join((step["words"], *step["commands"])) for step in content["steps"]]
        content = masked(content, ("next_steps[]",), "<the step with its commands>")
        return masked(content, masks.REPORT_SENTENCES, masks.PROSE)
    return masked(content, masks.RESULT_SENTENCES, masks.PROSE)


def own_version(version: str) -> str:
    assert version == __version__
    return masks.VERSION


def digests(story: Story) -> Mapping[str, str]:
    """Return what to read instead of each digest: whose it is. It changes with every masked word of that document."""
    store = story.world.store
    return {hashlib.sha256(store.get(key)).hexdigest(): f"<digest of {key}>" for key in store.list("captures/")}


def with_readable_link(story: Story, item: Mapping[str, Any]) -> Any:
    link = json.loads(item["metadata"]["annotations"][LINK])
    assert item["metadata"]["annotations"][LINK].encode() == canonical(link)
    named = digests(story)
    link = replaced(link, masks.LINK_DIGESTS, lambda sha256: named[sha256])
    item = masked(item, ("metadata.resourceVersion",), masks.REVISION)
    return replaced(item, ("metadata.annotations",), lambda annotations: {**annotations, LINK: link})


def readable_id(story: Story, operation: str) -> Any:
    """Return what an id says; those of a restore are packed, and another packing of the same is as good."""
    prefix, colon, rest = operation.partition(":")
    if prefix == "seal-v1":
        return {"id": operation}
    text = zlib.decompress(base64.urlsafe_b64decode(rest + "=" * (-len(rest) % 4))).decode()
    assert base64.urlsafe_b64encode(zlib.compress(text.encode(), level=9)).decode().rstrip("=") == rest
    content = json.loads(text)
    assert text == json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    named = digests(story)
    return {"prefix": prefix + colon, "packed": replaced(content, masks.LINK_DIGESTS, lambda sha256: named[sha256])}


def canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
