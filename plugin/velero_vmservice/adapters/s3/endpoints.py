"""AWS's endpoints for a bucket.

botocore reads a table of all services in all regions, and a client keeps it for its lifetime: 7 MiB in a sidecar that
waits for days.
"""

from __future__ import annotations

from typing import Any, Final

from botocore.loaders import Loader

_TABLE: Final = "endpoints"
_SERVICES: Final = frozenset({"s3", "sts", "sso", "portal.sso", "oidc", "signin"})
"""The store, and the services that give keys for a role or a login."""


class LeanLoader(Loader):
    """Reads botocore's data, but only the needed services from the table of endpoints."""

    def load_data_with_path(self, name: str) -> tuple[dict[str, Any], str]:
        """Return a file's content and its path."""
        if name != _TABLE:
            return super().load_data_with_path(name)
        data, path = Loader().load_data_with_path(name)  # its own cache would keep the whole table
        partitions = [
            partition | {"services": {key: value for key, value in partition["services"].items() if key in _SERVICES}}
            for partition in data["partitions"]
        ]
        return data | {"partitions": partitions}, path
