"""The record of a call, written and read back: by this version, by an earlier one, and after a change by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clock import SettableClock
from tests.fakes import cluster_rules
from tests.fakes.cluster import MemoryCluster
from tests.unit.builders import m
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.registervm.attempt import FAILED, Attempt, changed, given_up, labels, read_attempt
from velero_vmservice.registervm.attempt_store import Attempts
from velero_vmservice.velero.resource_modifier import merged
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere.network_override import SubnetMapping

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
OPEN = Attempt(restore_uid="uid", restore="again", namespace="shop", vm="web-1", moid="vm-1", recorded_at=NOON)
ENDED = replace(OPEN, task="task-1", outcome=FAILED, message="no disk", ended_at=LATER)


def read(change: dict[str, Any]) -> Attempt | None:
    """Write the record, then the change, and read it back."""
    return read_attempt(m(merged(OPEN.manifest("velero").content, change)))


def test_the_outcome_of_a_call_is_read_back() -> None:
    assert read({}) == OPEN
    assert read(changed(replace(OPEN, task="task-1"))) == replace(OPEN, task="task-1")
    assert read(changed(ENDED)) == ENDED
    assert read(given_up(replace(OPEN, revision="7"), "given up", LATER)) == replace(
        OPEN, outcome=FAILED, message="given up", ended_at=LATER, revision="7"
    )


def test_without_a_namespace_for_its_record_nothing_is_called() -> None:
    attempts = Attempts(cluster=(cluster := MemoryCluster()), clock=SettableClock(), velero_namespace="")
    assert attempts.newest("uid") == {}
    with pytest.raises(InvalidSettings, match="RegisterVM is not called for VM shop/web-1"):
        attempts.record(OPEN)
    assert cluster.calls.made == []


def test_the_override_of_the_call_is_read_back_and_a_record_without_one_is_as_ever() -> None:
    mapped = replace(
        OPEN,
        override=(
            SubnetMapping(current=Subnet(type="SUBNET", name="prod-a"), new=Subnet(type="SUBNET", name="dr-a")),
            SubnetMapping(current=Subnet(type="SUBNETSET"), new=Subnet(type="SUBNETSET", name="dr-default")),
        ),
    )
    assert read_attempt(mapped.manifest("velero")) == mapped
    assert "override" not in OPEN.manifest("velero").content["data"]
    assert read({"data": {"override": "[{}]"}}) is None


def test_a_record_that_does_not_tell_when_the_call_ended_is_read_all_the_same() -> None:
    assert read({"data": {"outcome": FAILED}}) == replace(OPEN, outcome=FAILED)


@pytest.mark.parametrize("uid", ["8f2c/20261124T100000Z", "a" * 64, "a" * 62 + "-b", "über"])
def test_a_uid_that_no_label_can_hold_still_finds_its_records(uid: str) -> None:
    attempt = replace(OPEN, restore_uid=uid)
    record = attempt.manifest("velero")

    assert list(cluster_rules.refusals(record.content)) == []
    assert read_attempt(record) == attempt
    assert labels(uid) != labels(f"{uid}2")


@pytest.mark.parametrize("key", ["recordedAt", "claimedAt", "endedAt"])
@pytest.mark.parametrize("spoilt", ["yesterday", "2026-03-01T12:00:00"])
def test_a_time_that_is_none_or_of_no_zone_spoils_a_record(key: str, spoilt: str) -> None:
    assert read({"data": {key: spoilt}}) is None
