"""A directory for what this process alone may read: authorities, credentials for a moment each, keys of Secrets."""

from __future__ import annotations

import tempfile

from velero_vmservice.errors import InvalidSettings


def private_directory() -> tempfile.TemporaryDirectory[str]:
    """Make a directory that only this process can read; raises `InvalidSettings` where none can be written."""
    try:
        return tempfile.TemporaryDirectory(prefix="vmservice-", ignore_cleanup_errors=True)
    except OSError as error:
        raise InvalidSettings(
            "there is no directory for temporary files that can be written",
            hint="mount an emptyDir volume at /tmp, or set TMPDIR",
        ) from error
