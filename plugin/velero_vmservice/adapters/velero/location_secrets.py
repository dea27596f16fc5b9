"""Secrets and files of a storage location: credentials, authorities, encryption keys."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.errors import InvalidSettings, NotFound
from velero_vmservice.kube.manifest import SECRET, ObjectRef, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.kube.api import Cluster

_OF_SERVICE_ACCOUNT: Final = "kubernetes.io/service-account-token"
CREDENTIALS_FILE: Final = "AWS_SHARED_CREDENTIALS_FILE"
_MOUNT: Final = "mount it into this container, readable for its user"


def of_secret(cluster: Cluster, namespace: str, reference: Mapping[str, Any], what: str) -> bytes:
    """Return the value of `reference`; `what` names its field. An empty value is an error."""
    name, key = str(reference.get("name") or ""), str(reference.get("key") or "")
    if not name:
        raise InvalidSettings(f"{what} names no Secret", hint="remove it, or name a Secret and its key")
    ref = ObjectRef(SECRET, namespace, name)
    try:
        secret = cluster.get(ref).content
    except NotFound as error:
        raise InvalidSettings(f"{what} names {ref}, which does not exist", hint="create the Secret") from error
    if secret.get("type") == _OF_SERVICE_ACCOUNT:  # the author of the name may not have the right to read the Secret
        raise InvalidSettings(
            f"{what} names {ref}, which holds the token of a service account", hint="name a Secret made for this"
        )
    data = mapping(secret.get("data"))
    if key not in data:
        raise InvalidSettings(f'{what} names key "{key}", which {ref} does not have', hint="correct the key")
    content = decoded(data[key], f'key "{key}" of {ref}, which {what} names,')
    if not content.strip():
        raise InvalidSettings(
            f'{what} names key "{key}" of {ref}, which is empty', hint="store the file's content there"
        )
    return content


def of_file(file: Path, what: str, longest: int = -1) -> bytes:
    """Return the first `longest` bytes of a file, all of them by default."""
    try:
        with file.open("rb") as content:
            return content.read(longest)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"{what} names {file}, which cannot be read", hint=_MOUNT) from error


def default_credentials() -> str:
    """Return Velero's own credentials file if it is mounted; '' leaves the login to boto3's default chain.

    As in velero-plugin-for-aws, it comes before the roles of the environment. It is read each time, because a mounted
    Secret may change. An empty file counts as none, as in that plugin: OADP needs its Secret to exist even if a cloud's
    own identity is used.
    """
    file = Path(os.environ.get(CREDENTIALS_FILE) or os.devnull)
    content = of_file(file, CREDENTIALS_FILE) if file.is_file() else b""
    return text(content) if content.strip() else ""


def decoded(value: object, what: str) -> bytes:
    """Return the bytes of a base64 field; like Go's decoder it ignores line ends."""
    try:
        return base64.b64decode(str(value).replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSettings(f"{what} is not base64", hint="write it again with kubectl or velero") from None


def text(content: bytes) -> str:
    """Return a credentials file's text; a comment may be in any encoding, a key is checked later."""
    return content.decode("utf-8", "replace")
