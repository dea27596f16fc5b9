"""The runs in a bucket: what belongs to one run of a backup, a restore or a drill, by the keys alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.store import is_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from velero_vmservice.archive.store import StoredDocument

REPORT: Final = "report.json"
"""Of a restore or a drill, which is over once it is there."""
_RUN: Final = re.compile(r"(captures|restores|drills)/([^/]+)/([^/]+)/.+")


class Area(StrEnum):
    """The part of the bucket that a run wrote to."""

    CAPTURE = "capture"
    RESULTS = "results"
    DRILL = "drill"

    @property
    def folder(self) -> str:
        """The first part of its keys."""
        return _FOLDERS[self]


_FOLDERS: Final = {Area.CAPTURE: "captures", Area.RESULTS: "restores", Area.DRILL: "drills"}
_AREAS: Final = {folder: area for area, folder in _FOLDERS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """All documents of one run of a Backup or Restore in a bucket."""

    area: Area
    name: str
    started: str
    """In the spelling of the key."""
    documents: Sequence[StoredDocument]

    @property
    def prefix(self) -> str:
        """The beginning of all its keys."""
        return f"{self.area.folder}/{self.name}/{self.started}/"

    @property
    def size(self) -> int:
        """The size of all its documents, in bytes."""
        return sum(document.size for document in self.documents)

    @property
    def written(self) -> datetime:
        """When the newest of its documents was written."""
        return max(document.written for document in self.documents)

    @property
    def removal_order(self) -> Sequence[str]:
        """Its keys in the order of their removal."""
        return sorted((document.key for document in self.documents), key=lambda key: (self.is_index(key), key))

    def is_index(self, key: str) -> bool:
        """Whether the key is of the seal or the report, the index of the run's other documents."""
        return key in {f"{self.prefix}capture.json", f"{self.prefix}{REPORT}"}

    def has(self, name: str) -> bool:
        """Whether one of its documents has this name, right below its prefix."""
        return f"{self.prefix}{name}" in {document.key for document in self.documents}


def runs_of(documents: Iterable[StoredDocument]) -> Sequence[StoredRun]:
    """Return the runs that documents belong to; documents with any other key are never removed."""
    grouped: dict[tuple[str, str, str], list[StoredDocument]] = {}
    for document in documents:
        match = _RUN.fullmatch(document.key)
        if match and is_key(document.key):
            folder, name, started = match.groups()
            grouped.setdefault((folder, name, started), []).append(document)
    return [
        StoredRun(
            area=_AREAS[folder],
            name=name,
            started=started,
            documents=tuple(of_run),
        )
        for (folder, name, started), of_run in grouped.items()
    ]
