from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import pytest

from tests.unit.builders import m, restore
from velero_vmservice.errors import InvalidItem
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero import runs
from velero_vmservice.velero.runs import Replay, RestoreRun, read_replay_id, replay_id

REPLAY = Replay(
    plural="virtualmachinegroups", namespace="shop", target="shop-dr", name="tier", key="k", sha256="0" * 64
)


def packed(text: bytes) -> str:
    return "replay-v1:" + base64.urlsafe_b64encode(zlib.compress(text)).decode().rstrip("=")


@dataclass(frozen=True)
class Hostile:
    why: str
    given: str


HOSTILE = [
    Hostile(why="nothing", given=""),
    Hostile(why="another plugin's", given="3fa85f64-5717-4562-b3fc-2c963f66afa6"),
    Hostile(why="the seal's", given="seal-v1:captures/nightly/20260301T120000Z/"),
    Hostile(why="no content", given="replay-v1:"),
    Hostile(why="no base64", given="replay-v1:!!!"),
    Hostile(why="not even ASCII", given="replay-v1:ключ"),
    Hostile(why="not compressed", given="replay-v1:" + base64.urlsafe_b64encode(b"{}").decode()),
    Hostile(why="cut short", given=replay_id(REPLAY)[:-8]),
    Hostile(why="no JSON", given=packed(b"no")),
    Hostile(why="no object", given=packed(b"[]")),
    Hostile(why="fields missing", given=packed(b'{"plural":"virtualmachinegroups"}')),
    Hostile(
        why="a kind that is not ours",
        given=packed(REPLAY.model_dump_json().replace("virtualmachinegroups", "pods").encode()),
    ),
    Hostile(why="a newer form", given=packed(b'{"v":2,' + REPLAY.model_dump_json(exclude={"v"}).encode()[1:])),
    Hostile(why="nested without end", given=packed(b"[" * 1_000_000)),
    Hostile(why="a small id that unpacks to 64 MiB", given=packed(b" " * (64 << 20))),
]


@pytest.mark.parametrize("case", HOSTILE, ids=lambda c: c.why)
def test_an_operation_id_of_another_plugin_is_refused(case: Hostile) -> None:
    with pytest.raises(InvalidItem, match=r"cannot be read|names the kind pods") as caught:
        read_replay_id(case.given)
    assert caught.value.hint
    assert len(str(caught.value)) < 300


def test_an_id_carries_all_that_is_needed() -> None:
    text = replay_id(REPLAY)
    assert text.startswith("replay-v1:")
    assert text.isascii()
    read = read_replay_id(text)
    assert read == REPLAY
    assert str(read.destination) == "VirtualMachineGroup shop-dr/tier"


def test_seal_id() -> None:
    prefix = "captures/nightly/20260301T120000Z/"
    assert runs.read_seal_id(runs.seal_id(prefix)) == prefix
    with pytest.raises(InvalidItem):
        runs.read_seal_id(replay_id(REPLAY))


def test_a_restore_says_where_to_and_whether_to_update() -> None:
    run = RestoreRun.read(m(restore(namespaceMapping={"shop": "shop-dr"}, existingResourcePolicy="update")))
    assert (run.target("shop"), run.target("other")) == ("shop-dr", "other")
    assert run.existing_resource_policy == "update"
    assert (run.name, run.backup, run.started) == ("again", "nightly", "20260301T120000Z")


def test_a_long_list_is_cut_and_says_so() -> None:
    assert enumerate_some(["a", "b"]) == "a; b"
    assert enumerate_some(["a", "b", "c"], most=2) == "a; b; and 1 more"
