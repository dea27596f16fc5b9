"""The login of a profile in an AWS credentials file: with keys, or with a role that keys may take.

The text comes from a Secret, which other users than this process's may write. So a profile names no file of this
container, starts no program and chooses no endpoint, although the Go SDK allows it. The precedence of settings is that
SDK's (`config/shared_config.go`, `config/resolve_credentials.go`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.adapters.s3.aws_ini import Profiles

_LONGEST_CHAIN: Final = 5
_SHORTEST_SESSION: Final = 16 * 60
"""The SDK replaces shorter durations by the default."""


class Fault(Enum):
    """Why a profile cannot be used."""

    NO_PROFILE = auto()
    NO_KEYS = auto()
    HALF_A_KEY = auto()
    NOT_ASCII = auto()
    ROLE_WITHOUT_KEYS = auto()
    KEYS_WITHOUT_ROLE = auto()
    CHAIN_TOO_LONG = auto()
    TWO_WAYS = auto()
    UNKNOWN_SOURCE = auto()
    PROGRAM = auto()
    SINGLE_SIGN_ON = auto()
    SECOND_FACTOR = auto()
    WEB_IDENTITY = auto()


class UnusableProfile(Exception):
    """A profile without a usable login; the error holds nothing from the file but the profile's name."""

    def __init__(self, fault: Fault, profile: str) -> None:
        super().__init__(fault, profile)
        self.fault = fault
        self.profile = profile


class Surroundings(Enum):
    """Sources of the process's own keys, in the terms of `credential_source`."""

    ENVIRONMENT = "Environment"
    CONTAINER = "EcsContainer"
    INSTANCE = "Ec2InstanceMetadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of an account."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role, and the credentials that take it."""

    arn: str
    taken_by: Login
    session_name: str = ""
    external_id: str = field(default="", repr=False)
    seconds: int = 0
    """The lifetime of its keys; 0 leaves it to the token service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebIdentity:
    """The web identity of the process's environment; a profile may name only this one."""


Login = Keys | Role | WebIdentity | Surroundings


def login(profiles: Profiles, profile: str, *, environment: Mapping[str, str]) -> Login:
    """Return the profile's login; raises `UnusableProfile`."""
    return _Chain(profiles, environment).login(profile, ())


@dataclass(frozen=True, slots=True)
class _Chain:
    profiles: Profiles
    environment: Mapping[str, str]

    def login(self, name: str, before: tuple[str, ...]) -> Login:
        profile = self.profiles.get(name)
        if profile is None:
            raise UnusableProfile(Fault.NO_PROFILE, name)
        if len(before) > _LONGEST_CHAIN:
            raise UnusableProfile(Fault.CHAIN_TOO_LONG, name)
        keys = _keys(profile, name)
        # A profile with keys for others gives its own keys, and its role only if it has none.
        if before and keys:
            return keys
        if name in before:
            raise UnusableProfile(Fault.ROLE_WITHOUT_KEYS, name)
        if len([key for key in _WAYS if profile.get(key)]) > 1:
            raise UnusableProfile(Fault.TWO_WAYS, name)
        if source := profile.get("source_profile"):
            return _role(profile, name, self.login(source, (*before, name)))
        base = keys or self._other(profile, name)
        return _role(profile, name, base) if profile.get("role_arn") and base != WebIdentity() else base

    def _other(self, profile: Mapping[str, str], name: str) -> Login:
        """Return the login of a profile without keys."""
        if source := profile.get("credential_source"):
            try:
                return _with_role(profile, name, Surroundings(source))
            except ValueError:
                raise UnusableProfile(Fault.UNKNOWN_SOURCE, name) from None
        if profile.get("web_identity_token_file"):
            return self._web_identity(profile, name)
        for key, fault in _REFUSED.items():
            if profile.get(key):
                raise UnusableProfile(fault, name)
        raise UnusableProfile(Fault.ROLE_WITHOUT_KEYS if profile.get("role_arn") else Fault.NO_KEYS, name)

    def _web_identity(self, profile: Mapping[str, str], name: str) -> WebIdentity:
        """Use the environment's token and role; a token of the profile's choice could be any file in the container."""
        same = all(profile.get(key, "") == self.environment.get(variable) for key, variable in _WEB_IDENTITY.items())
        if not same:
            raise UnusableProfile(Fault.WEB_IDENTITY, name)
        return WebIdentity()


_WAYS: Final = ("source_profile", "credential_source", "credential_process", "web_identity_token_file")
_REFUSED: Final = {
    "sso_session": Fault.SINGLE_SIGN_ON,
    "sso_start_url": Fault.SINGLE_SIGN_ON,
    "credential_process": Fault.PROGRAM,
}
_WEB_IDENTITY: Final = {"web_identity_token_file": "AWS_WEB_IDENTITY_TOKEN_FILE", "role_arn": "AWS_ROLE_ARN"}


def _keys(profile: Mapping[str, str], name: str) -> Keys | None:
    access_key, secret_key = profile.get("aws_access_key_id", ""), profile.get("aws_secret_access_key", "")
    token = profile.get("aws_session_token", "")
    if bool(access_key) != bool(secret_key):
        raise UnusableProfile(Fault.HALF_A_KEY, name)
    if not (access_key + secret_key + token).isascii():
        raise UnusableProfile(Fault.NOT_ASCII, name)
    return Keys(access_key=access_key, secret_key=secret_key, token=token) if access_key else None


def _role(profile: Mapping[str, str], name: str, taken_by: Login) -> Role:
    if not profile.get("role_arn"):
        raise UnusableProfile(Fault.KEYS_WITHOUT_ROLE, name)
    if profile.get("mfa_serial"):
        raise UnusableProfile(Fault.SECOND_FACTOR, name)
    seconds = profile.get("duration_seconds", "")
    return Role(
        arn=profile["role_arn"],
        taken_by=taken_by,
        session_name=profile.get("role_session_name", ""),
        external_id=profile.get("external_id", ""),
        seconds=int(seconds) if seconds.isdecimal() and int(seconds) >= _SHORTEST_SESSION else 0,
    )


def _with_role(profile: Mapping[str, str], name: str, source: Surroundings) -> Surroundings:
    if not profile.get("role_arn"):
        raise UnusableProfile(Fault.KEYS_WITHOUT_ROLE, name)
    return source
