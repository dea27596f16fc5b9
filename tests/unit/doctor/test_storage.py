from __future__ import annotations

import pytest

from tests.fakes.store import MemoryStore
from tests.unit.builders import obj
from velero_vmservice.doctor import storage
from velero_vmservice.doctor.checks import CheckState
from velero_vmservice.doctor.storage import Location
from velero_vmservice.errors import Forbidden
from velero_vmservice.kube.manifest import Manifest

PLACE = "memory://plugins/vmservice/"


def location(name: str = "default", phase: str = "Available", **spec: object) -> Location:
    status = {"phase": phase, "message": "bucket is gone"} if phase else {}
    return Location.read(
        Manifest(obj("BackupStorageLocation", name, api="velero.io/v1", namespace="velero", spec=spec, status=status))
    )


def test_a_bucket_that_does_all_is_left_as_it_was() -> None:
    store = MemoryStore()
    check = storage.probe_check("storage", storage.probe(store))
    assert (check.state, check.established) == (
        CheckState.OK,
        f"list, write once, read and delete work at {PLACE}doctor",
    )
    assert list(store.list("")) == []
    assert [method for method, _ in store.calls.made[:5]] == ["list", "put", "put", "get", "delete"]


@pytest.mark.parametrize(
    ("method", "state", "established"),
    [
        ("list", CheckState.FAILED, "list failed: no"),
        ("put", CheckState.FAILED, "write failed: no"),
        ("get", CheckState.FAILED, "read failed: no"),
        ("delete", CheckState.WARNING, "list, write and read work; delete failed: no"),
    ],
)
def test_a_right_that_the_bucket_denies_is_named(method: str, state: CheckState, established: str) -> None:
    store = MemoryStore()
    store.calls.fail(method, Forbidden("no", hint="allow it"))
    check = storage.probe_check("storage", storage.probe(store))
    assert (check.state, check.established, check.hint) == (state, established, "allow it")


def test_a_second_writer_that_is_not_refused_fails() -> None:
    overwriting = MemoryStore()
    overwriting.put = overwriting.replace
    check = storage.probe_check("storage", storage.probe(overwriting))
    assert (check.state, check.established) == (CheckState.FAILED, "a second write of the same key was accepted")


def test_a_read_only_location_is_never_written() -> None:
    store = MemoryStore()
    store.read_only = True
    check = storage.probe_check("storage", storage.probe(store))
    assert check.state is CheckState.WARNING
    assert "the location is ReadOnly" in check.established
    assert [method for method, _ in store.calls.made] == ["list"]


@pytest.mark.parametrize(
    ("phase", "state", "established"),
    [
        ("Available", CheckState.OK, "Velero says it is available; its credential is Velero's own, as it names none"),
        ("Unavailable", CheckState.FAILED, "Velero says it is Unavailable: bucket is gone"),
        ("", CheckState.UNKNOWN, "Velero has not looked at it yet"),
    ],
)
def test_what_velero_says_of_a_location(phase: str, state: CheckState, established: str) -> None:
    check = storage.location_check(location(phase=phase))
    assert (check.state, check.established) == (state, established)


def test_the_credential_of_a_location_is_named() -> None:
    check = storage.location_check(location(credential={"name": "cloud", "key": "aws"}))
    assert check.established.endswith("its credential is key aws of Secret cloud")


@pytest.mark.parametrize(
    ("locations", "state", "established"),
    [
        ([], CheckState.FAILED, "there is no BackupStorageLocation"),
        ([location("a", default=True), location("b")], CheckState.OK, "a"),
        ([location("default"), location("b")], CheckState.OK, "default, as Velero's server takes it"),
        (
            [location("a"), location("b")],
            CheckState.WARNING,
            "no location is the default, so a backup has to name one",
        ),
        (
            [location("a", default=True), location("b", default=True)],
            CheckState.WARNING,
            "several are the default: a, b",
        ),
    ],
)
def test_which_location_a_backup_goes_to(locations: list[Location], state: CheckState, established: str) -> None:
    check = storage.default_check(locations, server_default="default")
    assert (check.state, check.established) == (state, established)
