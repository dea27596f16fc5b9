"""Expectations: both spellings of the keys (guide 12.1, backup_types.go) and the values that turn a switch on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_vmservice.vsphere.extra_config import LONGEST_PLAIN, SPELLINGS, Key, read, values

OPERATORS = "vmservice.virtualmachine"
GUIDES = "vmservice.vmoperator.vmware.com"


@pytest.mark.parametrize(
    ("spelling", "key"),
    [
        (f"{OPERATORS}.resource.yaml", Key.VM),
        (f"{GUIDES}/vm-resource-yaml", Key.VM),
        (f"{OPERATORS}.additional.resources.yaml", Key.ADDITIONAL),
        (f"{GUIDES}/additional-resources-yaml", Key.ADDITIONAL),
        (f"{OPERATORS}.pvc.disk.data", Key.CLAIM_DISKS),
        (f"{GUIDES}/pvc-disk-data", Key.CLAIM_DISKS),
        (f"{OPERATORS}.classicDiskData", Key.CLASSIC_DISKS),
        (f"{GUIDES}/classic-disk-data", Key.CLASSIC_DISKS),
        (f"{OPERATORS}.backupVersion", Key.BACKUP_VERSION),
        (f"{GUIDES}/backup-version", Key.BACKUP_VERSION),
        (f"{OPERATORS}.enableAutomaticRegistration", Key.ENABLE),
        (f"{GUIDES}/enable-auto-registration", Key.ENABLE),
        (f"{OPERATORS}.disableAutomaticRegistration", Key.DISABLE),
        (f"{GUIDES}/disable-auto-registration", Key.DISABLE),
        ("vmservice.namespacedName", Key.NAMESPACED_NAME),
    ],
)
def test_a_key_is_known_in_both_spellings(spelling: str, key: Key) -> None:
    assert values({spelling: "1", "guestinfo.other": "x"}) == {key: "1"}


def test_an_existing_object_is_read() -> None:
    config = read(
        {
            f"{OPERATORS}.resource.yaml": "…",
            f"{OPERATORS}.backupVersion": " 1700 ",
            "vmservice.namespacedName": "shop/web-1",
        }
    )

    assert config.recorded
    assert (config.backup_version, config.namespace, config.name) == ("1700", "shop", "web-1")
    assert (config.enabled, config.disabled) == (None, None)
    assert config.remarks == ()


@pytest.mark.parametrize("entries", [{}, {f"{OPERATORS}.resource.yaml": ""}, {"vmservice.namespacedName": "shop/web"}])
def test_without_the_yaml_it_is_no_vm_of_vm_service(entries: dict[str, str]) -> None:
    assert not read(entries).recorded


@pytest.mark.parametrize(
    ("value", "enabled", "disabled"),
    [
        *[(value, True, False) for value in ("1", "on", "t", "y", "yes", "YES", " On ")],
        *[(value, True, True) for value in ("true", "TRUE", "True")],
        *[(value, False, False) for value in ("0", "off", "false", "no", "2", "enabled")],
        ("", None, None),
    ],
)
def test_a_switch_is_on_with_the_values_that_vm_operator_takes(
    *, value: str, enabled: bool | None, disabled: bool | None
) -> None:
    config = read({SPELLINGS[Key.ENABLE][0]: value, SPELLINGS[Key.DISABLE][1]: value})
    assert (config.enabled, config.disabled) == (enabled, disabled)


def test_an_opt_out_that_is_none_is_remarked() -> None:
    (remark,) = read({SPELLINGS[Key.DISABLE][0]: "yes"}).remarks
    assert remark.endswith("is 'yes', and only 'true' turns automatic registration off")


def test_vm_operators_spelling_counts_where_both_are_there() -> None:
    operators, guides = SPELLINGS[Key.BACKUP_VERSION]
    config = read({guides: "1", operators: "2", SPELLINGS[Key.ENABLE][0]: "true", SPELLINGS[Key.ENABLE][1]: "true"})

    assert config.backup_version == "2"
    assert config.remarks == (
        f"the ExtraConfig has two values for backup-version: {operators} counts, {guides} does not",
    )


def test_a_record_without_a_version_is_remarked() -> None:
    (remark,) = read({SPELLINGS[Key.VM][1]: "…"}).remarks
    assert "no backup version" in remark


KEYS = st.sampled_from([spelling for both in SPELLINGS.values() for spelling in both]) | st.text()


@given(st.dictionaries(KEYS, st.text(), max_size=8))
def test_no_entries_are_too_odd_to_be_read(entries: dict[str, str]) -> None:
    read(entries)
    assert set(values(entries).values()) <= set(entries.values())


def test_endless_plain_values_are_cut() -> None:
    config = read({spelling: "x" * 1_000_000 for key in Key for spelling in SPELLINGS[key]})
    assert len(config.backup_version) == LONGEST_PLAIN
    assert sum(map(len, config.remarks)) < 2000
