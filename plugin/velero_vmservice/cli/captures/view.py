"""What several commands about captures share: their options, and how one capture is described."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.captures.selection import Entry, namespaces
from velero_vmservice.cli.access import NamespaceOption, live
from velero_vmservice.cli.captures.naming import CaptureName, capture_names, job_names
from velero_vmservice.cli.options import Duration, OnceOption
from velero_vmservice.cli.views import terminal
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta

    from click.decorators import FC

    from velero_vmservice.app import App
    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.captures.catalogue import StoredCapture
    from velero_vmservice.captures.matching.shortfall import Lack
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.velero.runs import CaptureRef

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def location_option(help_text: str) -> Callable[[FC], FC]:
    """Return the option `--location`, which names a BackupStorageLocation."""
    return click.option(
        "--location", default="", metavar="NAME", shell_complete=live(BACKUP_STORAGE_LOCATION), help=help_text
    )


def vadp_job_option(help_text: str) -> Callable[[FC], FC]:
    """Return the option `--vadp-job`, which a command gets as the argument `job`."""
    return click.option("--vadp-job", "job", default="", metavar="NAME", shell_complete=job_names, help=help_text)


def capture_option(*reserved: str, help_text: str, default: str = "", argument: str = "capture") -> Callable[[FC], FC]:
    """Return the option `--from`, which takes NAME, NAME/TIME or one of the reserved words, and is given once."""
    return click.option(
        "--from",
        argument,
        cls=OnceOption,
        default=default,
        show_default=bool(default),
        metavar="CAPTURE",
        type=CaptureName("", *reserved),
        shell_complete=capture_names(*reserved),
        help=help_text,
    )


location = location_option("Look only in the bucket of this BackupStorageLocation.")
location_of_capture = location_option("The BackupStorageLocation that the capture lies in.")
namespace = click.option(
    "-n",
    "--namespace",
    cls=NamespaceOption,
    default="",
    metavar="NS",
    help="Captures that have anything of this namespace; all without it.",
)
vadp_job = vadp_job_option("Captures of this VADP job.")
older_than = click.option(
    "--older-than", type=Duration(), metavar="DURATION", help="Captures at least as old as that, e.g. 12h or 30d."
)
newer_than = click.option("--newer-than", type=Duration(), metavar="DURATION", help="Captures at most as old as that.")


def age(since: timedelta) -> str:
    """Return an age as kubectl writes it, in its greatest unit."""
    seconds = max(int(since.total_seconds()), 0)
    for unit, length in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def sealed(capture: StoredCapture, seal: Seal | None, fault: VmServiceError | None) -> str:
    """Return whether a capture is whole, in a word."""
    if seal is not None:
        return "yes"
    if not capture.sealed:
        return "no"
    return "unread" if fault is not None and fault.transient else "unusable"


def cluster(seal: Seal | None) -> str:
    """Return which cluster was captured, as far as is known."""
    if seal is None or not seal.cluster_id:
        return ""
    return f"{seal.cluster_id} ({seal.cluster})" if seal.cluster else seal.cluster_id


def described(capture: StoredCapture, seal: Seal | None, fault: VmServiceError | None) -> dict[str, Any]:
    """Return what programs are told of a capture."""
    entry, run = Entry(capture=capture, seal=seal, fault=fault), capture.run
    return {
        "capture": str(capture.ref),
        "name": run.name,
        "started": run.started,
        "made_by": run.maker.value,
        "location": run.location,
        "namespaces": list(namespaces(capture)),
        "vadp": {"job": entry.job, "restore_point": entry.restore_point},
        "tags": dict(entry.tags),
        "cluster_id": entry.cluster_id,
        "cluster": seal.cluster if seal else "",
        "sealed": sealed(capture, seal, fault),
        "fault": fault.message if fault else "",
        "where": capture.where,
        "endpoint": capture.store.endpoint,
        "bytes": capture.size,
        "documents": len(capture.documents),
    }


def named_capture(plugin: App, reference: str, *, location: str = "", from_cluster: str = "") -> StoredCapture:
    """Return the capture that is named, and remark which newer ones of the name are not meant; raises as catalogues."""
    named = plugin.catalogue.named(reference, location=location, from_cluster=from_cluster)
    for passed in named.passed_over:
        terminal.remark(passed.sentence)
    return named.stored


def lack_clause(lacks: Iterable[Lack]) -> str:
    """Return what a capture lacks, which captures hold it, and whether it was removed or may be on its way back."""
    alike = defaultdict[tuple[str, str], list[str]](list)
    for lack in lacks:
        alike[str(lack.holder), _since(lack)].append(str(lack.ref))
    return "; ".join(
        f"it lacks {enumerate_some(refs)}, which {holder} holds ({since})"
        for (holder, since), refs in sorted(alike.items())
    )


def _since(lack: Lack) -> str:
    if lack.recovering:
        return "its VMs were registered anew since, or are not there to compare"
    return "removed, as captures of its VMs show" if lack.restored else "removed, as captures of other VMs show"


def remark_lacks(ref: CaptureRef, lacks: Sequence[Lack]) -> None:
    """Say on standard error what a capture lacks; nothing where it lacks nothing."""
    if lacks:
        terminal.remark(f"capture {ref} holds less than before: {lack_clause(lacks)}")


def lack_document(lack: Lack) -> dict[str, Any]:
    """Return what programs are told of an object that a capture lacks."""
    return {
        "kind": lack.ref.kind.name,
        "namespace": lack.ref.namespace,
        "name": lack.ref.name,
        "held_by": str(lack.holder),
        "recovering": lack.recovering,
    }
