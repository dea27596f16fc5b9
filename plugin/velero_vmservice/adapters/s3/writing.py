"""Writes an object once, on servers with different features.

The server decides which writer was first (`If-None-Match: *`). A refused feature is left out from then on, and a server
that silently ignores the condition is detected before it is trusted. Answers of servers for a key that is taken:

- 412: S3, Ceph RGW, MinIO, R2, versitygw, Tigris, CoreWeave, Ozone 2.2;
- 409 ConditionalRequestConflict during another write: S3, CoreWeave;
- 304: MinIO until April 2024;
- 501 NotImplemented, taken or not: Backblaze B2, Alibaba OSS, StorageGRID 12.1 by configuration, S3 until August 2024;
- 200, and the object is overwritten: StorageGRID 12.1 by configuration, SeaweedFS until August 2025, versitygw until
  January 2026, gateways that drop the header;
- 412 although there is no object: Ceph RGW on POSIX, for a time.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import structlog
from botocore.exceptions import ClientError

from velero_vmservice.adapters.s3 import error_meanings as meanings
from velero_vmservice.adapters.s3 import errors
from velero_vmservice.adapters.s3.objects import Dialect
from velero_vmservice.errors import AlreadyExists, Corrupt, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.adapters.s3.objects import S3Objects

_log = structlog.get_logger()

_CONDITION_FAILED: Final = frozenset({304, 409, 412})
"""Answers for a key that is taken, or during another write to it."""

_SIGNATURE: Final = "SignatureDoesNotMatch"
_PLAINER: Final = frozenset(
    {"NotImplemented", "501", "InvalidArgument", "InvalidRequest", "BadRequest", "400", _SIGNATURE}
)
"""Refusals of an unknown header; a signature fails if a proxy changes a header."""

_ROUNDS: Final = 3
"""Attempts of a write when the conflicting object is gone at the following look."""

_DIALECTS: Final = (
    Dialect(conditional=True, checksum=True),
    Dialect(conditional=True, checksum=False),
    Dialect(conditional=False, checksum=True),
    Dialect(conditional=False, checksum=False),
)
"""The first one that a server accepts is kept."""


class _UnderKey(Enum):
    """The result of a read under a key."""

    OBJECT = auto()
    FREE = auto()
    NOTHING = auto()
    """The read was refused too."""


class Writing:
    """Writes of one store, with knowledge of its server's features; safe to use from many threads."""

    def __init__(self, objects: S3Objects, *, checksums: bool, trusted: bool) -> None:
        """Begin without knowledge, unless `trusted`: the server is known to honour the condition."""
        self._objects = objects
        self._dialects = tuple(dialect for dialect in _DIALECTS if checksums or not dialect.checksum)
        self._trusted = trusted

    def once(self, key: str, body: bytes, sha256: str) -> None:
        """Write the object unless there is one; raises `AlreadyExists` if that holds other bytes."""
        where = f'"{self._objects.name(key)}" in {self._objects.place}'
        for chance in range(_ROUNDS):
            # A server that refuses a condition although it holds gets the write without it in the end.
            if self._create(key, body, sha256, self._spoken(conditional=chance < _ROUNDS - 1)):
                return
            stored = self._objects.read(key)
            if stored == body:
                return
            if stored is not None:
                raise AlreadyExists(
                    f"cannot store {where}: it holds other bytes",
                    hint="look for a second Velero on the same location; what is stored stays as it is",
                )
        raise Unavailable(
            f"cannot store {where}: others write and remove it at the same time",
            hint="if it lasts, look for a second Velero on the same location",
        )

    def over(self, key: str, body: bytes, sha256: str) -> None:
        """Write the object in place of the present one."""
        dialects = self._spoken(conditional=False)
        for dialect in dialects:
            try:
                self._objects.write(key, body, sha256, dialect)
            except ClientError as error:
                if dialect is dialects[-1] or errors.code(error) not in _PLAINER:
                    raise self._blamed(error, key) from error
            else:
                return

    def _spoken(self, *, conditional: bool) -> tuple[Dialect, ...]:
        """Return the dialects to try in turn, without a condition unless `conditional`."""
        known = self._dialects
        return known if conditional else tuple(dict.fromkeys(replace(dialect, conditional=False) for dialect in known))

    def _create(self, key: str, body: bytes, sha256: str, dialects: Sequence[Dialect]) -> bool:
        """Write the object unless there is one; say whether this write stored it."""
        for dialect in dialects:
            if not (dialect.conditional and self._trusted) and self._objects.read(key) is not None:
                return False
            try:
                self._objects.write(key, body, sha256, dialect)
            except ClientError as error:
                if self._taken(error, key, dialect):
                    return False
                if dialect is dialects[-1] or errors.code(error) not in _PLAINER:
                    raise self._blamed(error, key) from error
            else:
                self._keep(dialect)
                return self._held(key, body, sha256, dialect)
        raise AssertionError  # the last dialect returns or raises

    def _taken(self, error: ClientError, key: str, dialect: Dialect) -> bool:
        """Say whether a write was refused because there is an object.

        The object itself is read, unless the server is away: for example, a server that protects objects from changes
        may answer with a denial of access.
        """
        if dialect.conditional and errors.status(error) in _CONDITION_FAILED:
            return True
        return not errors.transient(error, self._objects.place) and self._look(key) is _UnderKey.OBJECT

    def _blamed(self, error: ClientError, key: str) -> Exception:
        """Return the error for a refused write: reads show whether keys or the network caused a bad signature."""
        if errors.code(error) == _SIGNATURE and self._look(key) is not _UnderKey.NOTHING:
            return errors.failure(meanings.HEADERS_CHANGED, "", "store", self._objects.name(key), self._objects.place)
        return error

    def _look(self, key: str) -> _UnderKey:
        try:
            return _UnderKey.FREE if self._objects.read(key) is None else _UnderKey.OBJECT
        except Corrupt:
            return _UnderKey.OBJECT
        except ClientError:
            return _UnderKey.NOTHING

    def _held(self, key: str, body: bytes, sha256: str, dialect: Dialect) -> bool:
        """Say whether the written object stays, and learn whether the condition can be trusted."""
        if dialect.conditional and not self._trusted:
            # The same bytes again, with the key taken: a server that honours the condition refuses them.
            self._trusted = self._refused(key, body, sha256, dialect)
            if not self._trusted:
                self._dialects = tuple(known for known in self._dialects if not known.conditional)
                _log.warning("conditional writes ignored by the storage", bucket=self._objects.bucket, key=key)
        # Without the condition two writers may both have passed the look; the bytes of the last one stay.
        return (dialect.conditional and self._trusted) or self._objects.read(key) == body

    def _refused(self, key: str, body: bytes, sha256: str, dialect: Dialect) -> bool:
        """Say whether the server refuses a write to a key that is taken."""
        try:
            self._objects.write(key, body, sha256, dialect)
        except ClientError as error:
            if self._taken(error, key, dialect):
                return True
            raise
        return False

    def _keep(self, dialect: Dialect) -> None:
        """Use the dialect that the server has just accepted from now on."""
        known = self._dialects  # another thread may know more by now
        if dialect in known[1:]:
            self._dialects = known[known.index(dialect) :]
            _log.info(
                "storage refuses a header",
                bucket=self._objects.bucket,
                conditional=dialect.conditional,
                checksum=dialect.checksum,
            )
