"""How Kubernetes spells names and label keys (apimachinery, validation.go), as the clusters of the tests check it."""

from __future__ import annotations

import re
from typing import Final

from velero_vmservice.kube.names import LABEL_LENGTH, is_qualified_name

SUBDOMAIN_LENGTH: Final = 253

_LABEL_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_1123: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(rf"{_LABEL_1123.pattern}(\.{_LABEL_1123.pattern})*")


def is_dns_1035_label(text: str) -> bool:
    """Say whether a Service may have this name: lower case, digits and dashes, a letter first."""
    return len(text) <= LABEL_LENGTH and _LABEL_1035.fullmatch(text) is not None


def is_dns_1123_label(text: str) -> bool:
    """Say whether a port may have this name: as DNS-1035, but a digit may come first."""
    return len(text) <= LABEL_LENGTH and _LABEL_1123.fullmatch(text) is not None


def is_dns_1123_subdomain(text: str) -> bool:
    """Say whether the text is a host name of lower-case labels and dots."""
    return len(text) <= SUBDOMAIN_LENGTH and _SUBDOMAIN.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Say whether a label may have this key: a name of up to 63 characters, maybe behind `subdomain/`."""
    prefix, slash, name = text.rpartition("/")
    return is_qualified_name(name) and (not slash or is_dns_1123_subdomain(prefix))
