from __future__ import annotations

import base64
import zlib
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from velero_vmservice.errors import InvalidItem
from velero_vmservice.velero.runs import Replay, read_replay_id, read_seal_id, replay_id, seal_id

TEXT = st.text(max_size=64)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@st.composite
def replays(draw: st.DrawFn) -> Replay:
    key, sha256 = draw(st.just(("", "")) | st.tuples(st.text(min_size=1, max_size=64), DIGESTS))
    contents = st.dictionaries(TEXT, TEXT | st.integers() | st.lists(st.booleans(), max_size=2), max_size=4)
    return Replay(
        plural=draw(st.sampled_from(["virtualmachinegroups", "virtualmachineservices"])),
        namespace=draw(TEXT),
        target=draw(TEXT),
        name=draw(TEXT),
        key=key,
        sha256=sha256,
        facts=draw(st.none() | DIGESTS),
        damaged=draw(st.booleans()),
        vms=draw(st.none() | st.lists(TEXT, max_size=5).map(tuple)),
        item=draw(st.none() | contents),
        unread=draw(st.booleans()),
    )


REPLAYS = replays()


@given(REPLAYS)
def test_round_trip(replay: Replay) -> None:
    operation_id = replay_id(replay)
    assert read_replay_id(operation_id) == replay
    assert replay_id(read_replay_id(operation_id)) == operation_id
    assert operation_id.isascii()
    assert operation_id.isprintable()


@given(REPLAYS, REPLAYS)
def test_different_objects_have_different_ids(replay: Replay, other: Replay) -> None:
    assert (replay_id(replay) == replay_id(other)) is (replay == other)


@given(TEXT)
def test_seal_round_trip(prefix: str) -> None:
    assert read_seal_id(seal_id(prefix)) == prefix


@given(st.text() | st.text().map(lambda text: f"replay-v1:{text}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidItem):
        read_replay_id(text)


@given(st.binary(max_size=200))
def test_any_packed_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(InvalidItem):
        read_replay_id("replay-v1:" + base64.urlsafe_b64encode(zlib.compress(body)).decode())


@given(REPLAYS, st.data())
def test_a_damaged_id_never_reads_as_another_object(replay: Replay, data: st.DataObject) -> None:
    text = replay_id(replay)
    at = data.draw(st.integers(len("replay-v1:"), len(text) - 1))
    damaged = text[:at] + data.draw(st.sampled_from("AZaz09-_")) + text[at + 1 :]
    with suppress(InvalidItem):
        assert read_replay_id(damaged) == replay
