"""The login to storage with a credentials file.

The file never reaches botocore, which would follow `endpoint_url`, `services`, `web_identity_token_file` and
`credential_process` anywhere. botocore gets the login that `aws_profile` reads from it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    Credentials,
    DeferredRefreshableCredentials,
)

from velero_vmservice.adapters.s3 import aws_ini, aws_profile
from velero_vmservice.adapters.s3.aws_profile import (
    Fault,
    Keys,
    Login,
    Role,
    Surroundings,
    UnusableProfile,
    WebIdentity,
)
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.text import one_line

if TYPE_CHECKING:
    import botocore.session

    from velero_vmservice.adapters.s3.location import S3Location

DEFAULT_PROFILE: Final = "default"
_KEYS_HINT: Final = "write [{profile}], aws_access_key_id=… and aws_secret_access_key=… into it, a line each"
_ENVIRONMENT_HINT: Final = (
    "give the plugin's container the same AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or use keys"
)
_ROLE_HINT: Final = "put the account's keys beside role_arn, or name their profile in source_profile"

_EXPLANATIONS: Final = {
    Fault.NO_PROFILE: ("has no profile {profile}", _KEYS_HINT),
    Fault.NO_KEYS: ("holds no credentials for profile {profile}", _KEYS_HINT),
    Fault.HALF_A_KEY: ("holds one of the two keys alone for profile {profile}", _KEYS_HINT),
    Fault.NOT_ASCII: ("holds keys for profile {profile} with characters that no key has", _KEYS_HINT),
    Fault.ROLE_WITHOUT_KEYS: ("names a role for profile {profile}, and no keys to take it with", _ROLE_HINT),
    Fault.KEYS_WITHOUT_ROLE: ("says for profile {profile} who takes a role, and not which", "add role_arn"),
    Fault.CHAIN_TOO_LONG: ("leads from role to role too often, up to profile {profile}", _ROLE_HINT),
    Fault.TWO_WAYS: (
        "names more than one way to log in for profile {profile}",
        "leave one of source_profile, credential_source and web_identity_token_file",
    ),
    Fault.UNKNOWN_SOURCE: (
        "has an unknown credential_source for profile {profile}",
        f"write one of {', '.join(source.value for source in Surroundings)}",
    ),
    Fault.PROGRAM: (
        "wants to start a program for profile {profile} (credential_process), which a Secret may not",
        _KEYS_HINT,
    ),
    Fault.SINGLE_SIGN_ON: ("wants a single sign-on for profile {profile}, which needs a person", _KEYS_HINT),
    Fault.SECOND_FACTOR: ("wants a second factor for profile {profile}, which needs a person", "remove mfa_serial"),
    Fault.WEB_IDENTITY: (
        "names another web identity for profile {profile} than the container's environment, which a Secret may not",
        _ENVIRONMENT_HINT,
    ),
}

ALONE: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""Variables of a session, so that neither ~/.aws nor the environment adds to the location's text."""

_PROVIDERS: Final = {
    Surroundings.ENVIRONMENT: "env",
    Surroundings.CONTAINER: "container-role",
    Surroundings.INSTANCE: "iam-role",
    WebIdentity(): "assume-role-with-web-identity",
}
"""botocore's names for them."""


def log_in(session: botocore.session.Session, location: S3Location, **client: Any) -> None:
    """Give the session the credentials of the location's text; `client` is for the token service's client.

    Raises `InvalidSettings` if the text gives none.
    """
    profile = location.profile or os.environ.get("AWS_PROFILE") or DEFAULT_PROFILE
    try:
        login = aws_profile.login(aws_ini.profiles(location.credentials), profile, environment=os.environ)
    except UnusableProfile as error:
        why, hint = _EXPLANATIONS[error.fault]
        named = one_line(error.profile)
        raise unusable(location, why.format(profile=named), hint.format(profile=named)) from None
    resolver = session.get_component("credential_provider")

    def made(of: Login) -> Any:
        if isinstance(of, Keys):
            return Credentials(of.access_key, of.secret_key, of.token or None)
        if isinstance(of, Role):
            return _role(
                of, made(of.taken_by), lambda *args, **options: session.create_client(*args, **client | options)
            )
        return resolver.get_provider(_PROVIDERS[of]).load()

    credentials = made(login)
    if credentials is None:
        raise unusable(location, "wants the credentials of the container, which has none", "use keys")
    session.register_component("credential_provider", CredentialResolver([_Given(credentials)]))


def region(location: S3Location) -> str:
    """Return the region of the environment, or else of the profile, as the Go SDK does; '' if there is none."""
    from_environment = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    profile = location.profile or os.environ.get("AWS_PROFILE") or DEFAULT_PROFILE
    return from_environment or aws_ini.profiles(location.credentials).get(profile, {}).get("region", "")


def unusable(location: S3Location, why: str, hint: str) -> InvalidSettings:
    """Return the error for credentials that cannot be used."""
    return InvalidSettings(f"cannot open {location.place}: {location.credentials_of} {why}", hint=hint)


def _role(role: Role, source: Any, client_creator: Any) -> DeferredRefreshableCredentials:
    arguments = {"RoleSessionName": role.session_name, "ExternalId": role.external_id, "DurationSeconds": role.seconds}
    fetcher = AssumeRoleCredentialFetcher(
        client_creator, source, role.arn, extra_args={key: value for key, value in arguments.items() if value}
    )
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


class _Given(CredentialProvider):
    """Credentials that need no request."""

    METHOD = "location"
    CANONICAL_NAME = None

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        """Return them."""
        return self._credentials
