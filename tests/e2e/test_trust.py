"""A document that another writer has put into the bucket since the backup decides nothing."""

from __future__ import annotations

import dataclasses
import json

from tests.e2e.saved import saved
from tests.e2e.scene import SERVICES, Scene
from tests.emulator import machines


def test_changed_facts_leave_no_claim_out_in_silence(scene: Scene, space: str) -> None:
    application = machines.two_tier("shop", namespace=space)
    claims = [*application.claims, machines.claim("notes", namespace=space)]  # the owner's, no VM's disk
    shop = saved(scene, dataclasses.replace(application, claims=claims))
    client, bucket = scene.server.store.client(), scene.server.bucket
    (key,) = [key for key in scene.stored(f"captures/{space}/") if "/namespaces/" in key]
    facts = json.loads(scene.server.store.read(bucket, key))
    for vm in facts["machines"]:
        vm["claims"] = [*vm["claims"], "notes"]
    client.put_object(Bucket=bucket, Key=key, Body=json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())
    shop.lose()

    restore = scene.server.restore(space, f"--from-backup={space}")

    assert restore["status"]["phase"] == "PartiallyFailed"
    described = scene.describe(space)
    assert f"error preparing persistentvolumeclaims/{space}/notes" in described
    assert "its bytes do not match the digest stored with them" in described
    assert {stage for stage, _ in scene.stages(space).values()} == {"failed"}
    assert scene.names(SERVICES, space) == set()
