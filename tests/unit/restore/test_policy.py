from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import with_policy
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.restore.policy import RestoreDefaults, RestorePolicy, effective
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere.network_override import SubnetMapping

PREFIX = "velero-plugin-for-vmservice/"
DEFAULTS = {
    "conflict": "existing-resource-policy",
    "mode": "best-effort",
    "label-mismatch": "warn",
    "capture": "prefer",
    "cluster-ip": "drop",
    "vip": "drop",
    "site": "detect",
    "power": "leave",
    "probe": "off",
    "registered-within": "none",
    "verified-within": "30m",
    "powered-within": "30m",
}
CHOICES = {
    "conflict": ("existing-resource-policy", "fail", "retain", "update"),
    "mode": ("best-effort", "strict"),
    "label-mismatch": ("warn", "wait", "fail"),
    "capture": ("prefer", "require"),
    "cluster-ip": ("drop", "keep"),
    "vip": ("drop", "request"),
    "site": ("detect", "same", "cross"),
    "power": ("leave", "captured", "on"),
    "probe": ("off", "tcp"),
}
OF_ONE_RESTORE = ("registration", "network-override")
DEADLINES = ("registered-within", "verified-within", "powered-within")


def of(**annotations: str) -> dict[str, str]:
    return with_policy(**annotations)["annotations"]


def test_the_defaults_are_the_careful_ones() -> None:
    assert RestorePolicy().printed() == DEFAULTS


def test_a_restore_that_says_nothing_has_the_defaults_with_its_conflict_rule_resolved() -> None:
    assert effective(RestorePolicy(), {}).printed() == {**DEFAULTS, "conflict": "retain"}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in CHOICES.items() for value in values])
def test_every_value_can_be_asked_for_by_annotation(key: str, value: str) -> None:
    printed = effective(RestorePolicy(), {PREFIX + key: value}).printed()
    assert printed[key] == ("retain" if value == "existing-resource-policy" else value)
    assert {name: printed[name] for name in printed if name not in (key, "conflict")} == {
        name: value for name, value in DEFAULTS.items() if name not in (key, "conflict")
    }


@pytest.mark.parametrize("key", DEADLINES)
@pytest.mark.parametrize(
    ("value", "within", "printed"),
    [
        ("90s", timedelta(seconds=90), "1m30s"),
        ("12h", timedelta(hours=12), "12h"),
        ("1h30m", timedelta(minutes=90), "1h30m"),
        ("500ms", timedelta(milliseconds=500), "500ms"),
        ("none", None, "none"),
    ],
)
def test_a_deadline_is_a_duration_as_go_writes_it_or_none(
    key: str, value: str, within: timedelta | None, printed: str
) -> None:
    policy = effective(RestorePolicy(), {PREFIX + key: value})
    assert getattr(policy, key.replace("-", "_")) == within
    assert policy.printed()[key] == printed


@pytest.mark.parametrize(
    ("value", "existing", "want"),
    [
        ("", "", "retain"),
        ("", "none", "retain"),
        ("", "update", "update"),
        ("existing-resource-policy", "update", "update"),
        ("existing-resource-policy", "", "retain"),
        ("retain", "update", "retain"),
        ("fail", "update", "fail"),
        ("fail", "", "fail"),
        ("update", "none", "update"),
    ],
)
def test_the_conflict_rule_is_the_restores_own_unless_the_policy_says_otherwise(
    value: str, existing: str, want: str
) -> None:
    by_annotation = effective(RestorePolicy(), of(conflict=value) if value else {}, existing)
    by_settings = effective(RestorePolicy.model_validate({"conflict": value} if value else {}), {}, existing)
    assert (by_annotation.conflict, by_settings.conflict) == (want, want)


def test_an_annotation_overrides_the_settings_and_leaves_the_other_settings() -> None:
    settings = RestorePolicy(power="on", mode="strict", registered_within=timedelta(hours=2))
    policy = effective(settings, of(power="leave"))
    assert (policy.power, policy.mode, policy.printed()["registered-within"]) == ("leave", "strict", "2h")
    assert effective(settings, of(registered_within="none")).registered_within is None


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("powr", "power"),
        ("Power", "power"),
        ("cluster_ip", "cluster-ip"),
        ("registered-witihn", "registered-within"),
        ("", ""),
        ("nothing-like-it", ""),
    ],
)
def test_an_unknown_annotation_is_named_with_the_policy_that_is_meant(key: str, meant: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        effective(RestorePolicy(), {PREFIX + key: "on"})
    suggestion = f"; did you mean {meant}?" if meant else ""
    assert caught.value.message == f"annotation {PREFIX}{key}: unknown policy{suggestion}"
    assert caught.value.hint == f"use one of: {', '.join(sorted((*DEFAULTS, *OF_ONE_RESTORE)))}"


@pytest.mark.parametrize("key", CHOICES)
@pytest.mark.parametrize("value", ["", "s3cret", "ON!", "none"])
def test_an_unknown_value_is_an_error_that_names_the_valid_ones(key: str, value: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        effective(RestorePolicy(), {PREFIX + key: value})
    *most, last = (f"'{choice}'" for choice in CHOICES[key])
    assert caught.value.message == f"annotation {PREFIX}{key}: {key} has to be {', '.join(most)} or {last}"
    assert caught.value.hint == "correct or remove it"


@pytest.mark.parametrize("value", ["on", "On", "ON", "yes", "true", "True"])
def test_on_may_be_spelled_as_yaml_and_helm_do(value: str) -> None:
    assert effective(RestorePolicy(), of(power=value)).power == "on"


@pytest.mark.parametrize("value", ["off", "Off", "no", "false", "False"])
def test_off_may_be_spelled_as_yaml_and_helm_do(value: str) -> None:
    assert effective(RestorePolicy(probe="tcp"), of(probe=value)).probe == "off"


@pytest.mark.parametrize(("key", "value"), [("power", "off"), ("probe", "on"), ("vip", "on"), ("mode", "off")])
def test_a_boolean_that_no_documented_value_means_is_refused(key: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{key} has to be"):
        effective(RestorePolicy(), of(**{key: value}))


@pytest.mark.parametrize("key", DEADLINES)
@pytest.mark.parametrize("value", ["soon", "", "0s", "-5m", "30", "1 hour", "9" * 400 + "h"])
def test_a_deadline_that_is_none_is_an_error_that_shows_how(key: str, value: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        effective(RestorePolicy(), {PREFIX + key: value})
    assert caught.value.message.startswith(f"annotation {PREFIX}{key}: {key} has to ")
    assert caught.value.message.endswith("a duration such as 90s or 12h, or none")


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        effective(RestorePolicy(), of(power="maybe", vip="please"))
    assert caught.value.message == (
        f"annotation {PREFIX}vip: vip has to be 'drop' or 'request'; "
        f"annotation {PREFIX}power: power has to be 'leave', 'captured' or 'on'"
    )


@pytest.mark.parametrize(
    "annotations",
    [
        {"velero.io/power": "on"},
        {f"{PREFIX}vadp-job": "nightly", f"{PREFIX}vadp-restore-point": "17"},
        {"velero-plugin-for-vmservice.example.com/power": "on"},
    ],
    ids=["another product's", "the VADP job's", "of a longer name"],
)
def test_other_annotations_are_none_of_it(annotations: dict[str, str]) -> None:
    assert effective(RestorePolicy(), annotations).power == "leave"


@pytest.mark.parametrize("wrong", [{"powr": "on"}, {"power": "maybe"}, {"registered_within": "soon"}])
def test_the_settings_are_as_strict(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RestorePolicy.model_validate(wrong)


@pytest.mark.parametrize("mode", ["observe", "trigger"])
def test_a_restore_chooses_whether_registervm_is_called(mode: str) -> None:
    policy = effective(RestoreDefaults(), {f"{PREFIX}registration": mode})
    assert policy.registration == mode
    assert policy.printed() == {**DEFAULTS, "conflict": "retain", "registration": mode}


def test_a_restore_maps_subnets_for_itself() -> None:
    mapped = "prod-a=dr-a, subnetset/=dr-default SubnetSet/old=subnet/new"
    policy = effective(RestoreDefaults(), {f"{PREFIX}network-override": mapped})
    assert policy.network_override == (
        SubnetMapping(current=Subnet(type="SUBNET", name="prod-a"), new=Subnet(type="SUBNET", name="dr-a")),
        SubnetMapping(current=Subnet(type="SUBNETSET"), new=Subnet(type="SUBNETSET", name="dr-default")),
        SubnetMapping(current=Subnet(type="SUBNETSET", name="old"), new=Subnet(type="SUBNET", name="new")),
    )
    assert policy.printed()["network-override"] == (
        "subnet/prod-a=subnet/dr-a,subnetset/=subnetset/dr-default,subnetset/old=subnet/new"
    )
    again = effective(RestoreDefaults(), {f"{PREFIX}network-override": policy.printed()["network-override"]})
    assert again == policy


def test_a_restore_can_do_without_the_mappings_of_the_settings() -> None:
    policy = effective(RestoreDefaults(), {f"{PREFIX}network-override": "none"})
    assert (policy.network_override, policy.printed()["network-override"]) == ((), "none")


@pytest.mark.parametrize(
    ("wrong", "excerpt"),
    [
        ("prod-a", "network-override has a mapping that is not of the form OLD=NEW"),
        ("prod-a=", "network-override has a mapping that is not of the form"),
        ("vlan/7=subnet/a", "network-override has a mapping that names neither a subnet nor a SubnetSet"),
        ("a=subnet/", "network-override has a mapping that lacks the name of the subnet"),
        ("Prod=b", "network-override has a mapping that names neither"),
        ("a=b,subnet/a=c", "network-override maps one subnet twice"),
        ("", "network-override has a mapping that is not of the form"),
    ],
)
def test_a_mapping_that_is_none_is_refused_by_the_name_of_its_annotation(wrong: str, excerpt: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        effective(RestoreDefaults(), {f"{PREFIX}network-override": wrong})
    assert caught.value.message.startswith(f"annotation {PREFIX}network-override: {excerpt}")
    assert caught.value.hint == "correct or remove it"


def test_a_wrong_registration_is_refused_with_what_is_valid() -> None:
    with pytest.raises(InvalidSettings, match="registration has to be 'observe' or 'trigger'"):
        effective(RestoreDefaults(), {f"{PREFIX}registration": "yes"})
