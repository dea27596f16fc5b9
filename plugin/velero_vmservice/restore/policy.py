"""The user's choices where a restore could be done in more than one way, per installation and per restore.

Defaults stand in the settings (`restore:`); a Velero Restore overrides them with annotations
`velero-plugin-for-vmservice/<key>`, the key in lower case with hyphens. An unknown key or value is an error: a typo
that silently kept a default would be found on the day of the restore.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

import durationpy
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError

from velero_vmservice.archive import schema
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.registervm.attempt import ForRestore
from velero_vmservice.report.stage import Stage
from velero_vmservice.settings_faults import closest, did_you_mean, faults_in
from velero_vmservice.settings_section import Section
from velero_vmservice.vmoperator import marks
from velero_vmservice.vsphere.network_override import RestoreOverride

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.velero.runs import RestoreRun

NO_LIMIT: Final = "none"
_DURATION: Final = f"a duration such as 90s or 12h, or {NO_LIMIT}"

_NOT_POLICY: Final = frozenset({marks.VADP_JOB_ANNOTATION, marks.VADP_RESTORE_POINT_ANNOTATION})
"""Annotations of ours that a Restore may carry, but that describe the VADP job."""


def _duration(value: Any) -> Any:
    if value is None or value == NO_LIMIT:
        return None
    if not isinstance(value, str):
        return value
    try:
        within = durationpy.from_str(value)
    except (durationpy.DurationError, ArithmeticError, ValueError):
        raise ValueError(f"has to be {_DURATION}") from None
    if within <= timedelta():
        raise ValueError(f"has to be longer than zero: {_DURATION}")
    return within


Within = Annotated[
    timedelta | None,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: NO_LIMIT if value is None else durationpy.to_str(value), return_type=str),
]
"""A stage's deadline as Go writes it (`90s`, `12h`), or `none`: then only Velero's itemOperationTimeout holds."""


class RestoreDefaults(Section):
    """The choices of a restore; the defaults are the careful ones."""

    conflict: Literal["existing-resource-policy", "fail", "retain", "update"] = Field(
        default="existing-resource-policy",
        description="What happens to an object that exists and differs; the default follows the Restore's "
        "`existingResourcePolicy`, which retains or updates it.",
    )
    mode: Literal["best-effort", "strict"] = Field(
        default="best-effort",
        description="`strict` creates nothing until every object of the restore can be created.",
    )
    label_mismatch: Literal["warn", "wait", "fail"] = Field(
        default="warn", description="What follows when a VM came back without the label or group name an object needs."
    )
    capture: Literal["prefer", "require"] = Field(
        default="prefer", description="`prefer` goes on with the item in Velero's own archive when the capture is gone."
    )
    cluster_ip: Literal["drop", "keep"] = Field(default="drop", description="`keep` asks for the captured `clusterIp`.")
    vip: Literal["drop", "request"] = Field(
        default="drop", description="`request` asks for the captured load balancer address through `loadBalancerIP`."
    )
    site: Literal["detect", "same", "cross"] = Field(
        default="detect",
        description="Whether the target has another load balancer provider; what the old one left is then removed.",
    )
    power: Literal["leave", "captured", "on"] = Field(
        default="leave",
        description="Which VMs are powered on once every member is linked: none, those that ran at backup, or all.",
    )
    probe: Literal["off", "tcp"] = Field(
        default="off",
        description="`tcp` connects to every port of a load balancer that has endpoints, from where the plugin runs.",
    )
    registered_within: Within = Field(
        default=None,
        description="How long VMs may take to be registered, from the start of the restore.",
        examples=["12h"],
    )
    verified_within: Within = Field(
        default=timedelta(minutes=30),
        description="How long VM Operator may take to link and serve what was replayed.",
        examples=["none"],
    )
    powered_within: Within = Field(
        default=timedelta(minutes=30),
        description="How long VMs may take to run once their power-on was requested.",
        examples=["1h30m"],
    )

    def printed(self) -> dict[str, str]:
        """Return the policy as a person writes it, without what it leaves to another part of the settings."""
        chosen = ((name, value) for name, value in self.model_dump(mode="json").items() if value is not None)
        return {_key(name): str(value) for name, value in chosen}


class RestorePolicy(RestoreDefaults):
    """The choices of one restore: those that have a default in `restore:`, and those about RegisterVM.

    The latter have their defaults in `registration:`, and so none here.
    """

    registration: Literal["observe", "trigger"] | None = Field(
        default=None, description="Whether this restore calls RegisterVM, whatever `registration.mode` is."
    )
    network_override: RestoreOverride = Field(
        default=None,
        description="Network override of this restore's calls, instead of `registration.subnet_mappings`.",
    )


def choices() -> Sequence[str]:
    """Return KEY=VALUE for each value that a policy can have, and KEY= for one of any value."""
    return [
        f"{_key(name)}={value}"
        for name, field in RestorePolicy.model_fields.items()
        for value in (_values(field.annotation) or ("",))
    ]


def _values(annotation: Any) -> Sequence[str]:
    """Return the values of a Literal, also of one that may be left out."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next(filter(None, map(_values, get_args(annotation))), ())


def for_restore(run: RestoreRun, policy: RestorePolicy) -> ForRestore:
    """Return on whose behalf, and how, RegisterVM is called."""
    return ForRestore(
        uid=run.uid,
        name=run.name,
        calls=None if policy.registration is None else policy.registration == "trigger",
        override=policy.network_override,
        since=schema.moment(run.started) if run.started and not run.of_velero else None,
    )


def effective(
    defaults: RestoreDefaults,
    annotations: Mapping[str, str],
    existing_resource_policy: str = "",
    *,
    can_register: bool = True,
) -> RestorePolicy:
    """Return the policy of one restore: the defaults, overridden by its annotations, its conflict rule resolved.

    Raises `InvalidSettings`, naming the annotation and what would be valid; also where the restore asks for RegisterVM
    and no vCenter can be called (`can_register`).
    """
    prefix = f"{marks.PLUGIN_NAME}/"
    overrides = {
        key.removeprefix(prefix): value
        for key, value in annotations.items()
        if key.startswith(prefix) and key not in _NOT_POLICY
    }
    chosen = overridden(defaults, overrides, where=lambda key: f"annotation {prefix}{key}")
    if chosen.registration == "trigger" and not can_register:
        raise InvalidSettings(
            "the restore asks for RegisterVM (registration=trigger), and no vCenter is set up to call it at",
            hint="set vcenter.server, vcenter.user and vcenter.password_file, or leave registration=trigger out",
        )
    if chosen.conflict != "existing-resource-policy":
        return chosen
    return chosen.model_copy(update={"conflict": "update" if existing_resource_policy == "update" else "retain"})


def overridden(
    defaults: RestoreDefaults, overrides: Mapping[str, str], *, where: Callable[[str], str]
) -> RestorePolicy:
    """Return the defaults, overridden by what is asked for one restore, whose keys have hyphens.

    Raises `InvalidSettings` that begins with `where` a wrong key or value stands.
    """
    known = {_key(name): name for name in RestorePolicy.model_fields}
    unknown = [
        f"{where(key)}: unknown policy{did_you_mean(closest(key, known))}"
        for key in sorted(overrides.keys() - known.keys())
    ]
    if unknown:
        raise InvalidSettings("; ".join(unknown), hint=f"use one of: {', '.join(sorted(known))}")
    merged = defaults.model_dump() | {known[key]: value for key, value in overrides.items()}
    try:
        return RestorePolicy.model_validate(merged)
    except ValidationError as error:
        faults = list(faults_in(error, RestorePolicy, merged))
    sentences = []
    for fault in faults:
        name = str(fault.path[0])
        sentences.append(f"{where(_key(name))}: {fault.sentence.replace(name, _key(name), 1)}")
    raise InvalidSettings("; ".join(sentences), hint="correct or remove it")


def _key(name: str) -> str:
    return name.replace("_", "-")


def passed_deadline(stage: Stage, since: datetime, run: RestoreRun, policy: RestorePolicy, *, now: datetime) -> str:
    """Return which deadline of the policy has passed for an object in this stage, or ''.

    Registration counts from the restore's start, so that a restart of this process gives no more time; the later stages
    count from when they began, as far as this process has seen.
    """
    match stage:
        case Stage.WAITING:
            key, within = "registered-within", policy.registered_within
        case Stage.REPLAYED:
            key, within = "verified-within", policy.verified_within
        case Stage.POWERING:
            key, within = "powered-within", policy.powered_within
        case _:
            return ""
    if within is None:
        return ""
    began = schema.moment(run.started) if stage is Stage.WAITING and run.started else since
    return f"the policy's {key}={policy.printed()[key]} is over" if now - began > within else ""
