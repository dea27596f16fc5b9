"""`velero-vmservice captures list`: the captures in all buckets, newest first."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click
from rich.filesize import decimal

from velero_vmservice.captures.selection import Entry, Filter, entries, namespaces
from velero_vmservice.cli import access
from velero_vmservice.cli.captures import view
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import examples, pairs, table_output
from velero_vmservice.cli.views import buckets, terminal
from velero_vmservice.cli.views.table import Column, Row, Table
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.cli.views.table import Output
    from velero_vmservice.errors import VmServiceError

_COLUMNS: Final = (
    Column("CAPTURE"),
    Column("AGE"),
    Column("MADE BY"),
    Column("SEALED"),
    Column("OBJECTS"),
    Column("VMS"),
    Column("VADP JOB"),
    Column("RESTORE POINT"),
    Column("TAGS", wide=True),
    Column("CLUSTER", wide=True),
    Column("LOCATION", wide=True),
    Column("SIZE", wide=True),
    Column("WHERE", wide=True),
    Column("NAMESPACES"),
)


@click.command(
    "list",
    epilog=examples(
        "captures list",
        "captures list -n shop --vadp-job nightly --newer-than 30d",
        "captures list --application shop/tier -o name",
    ),
)
@view.namespace
@click.option(
    "--application",
    default="",
    metavar="NAME",
    help="Captures of the application that this group, service or VM is of: NAME or NS/NAME.",
)
@view.vadp_job
@click.option(
    "--tag", "tags", multiple=True, metavar="KEY=VALUE", callback=pairs("="), help="With this tag; repeatable."
)
@view.older_than
@view.newer_than
@view.location
@table_output
def list_captures(
    *,
    namespace: str,
    application: str,
    job: str,
    tags: Mapping[str, str],
    older_than: float | None,
    newer_than: float | None,
    location: str,
    output: Output,
) -> None:
    """List the captures in all buckets, newest first: Velero's, and those that `capture` made.

    A bucket that cannot be listed is a remark, and the command exits with 1. A capture without a seal was stopped
    before its end, or goes on; it is never restored.
    """
    if older_than and newer_than and older_than > newer_than:
        raise WrongUsage(
            "no capture is older than --older-than and newer than --newer-than",
            hint="give --newer-than the longer time",
        )
    _, plugin = access.connect()
    listing, now = plugin.catalogue.list(location=location), plugin.clock.now()
    buckets.remark_unread(listing.unread)
    wanted = Filter(
        namespace=namespace,
        application=application,
        job=job,
        tags=tags,
        older_than=None if older_than is None else timedelta(seconds=older_than),
        newer_than=None if newer_than is None else timedelta(seconds=newer_than),
    )
    possible = [capture for capture in listing.captures if namespace in ("", *namespaces(capture))]
    chosen = [entry for entry in entries(plugin.catalogue, possible) if wanted.takes(entry, now=now)]
    for entry in chosen:
        if entry.fault is not None:
            terminal.remark(f"the seal of {entry.capture.run} cannot be used: {entry.fault.message}")
    Table(
        columns=_COLUMNS,
        rows=[_row(entry, now) for entry in chosen],
        document=_document(chosen, listing.unread, now),
        below=[] if chosen else ["no capture is as asked for" if listing.captures else "there are no captures"],
    ).show(output)
    sys.exit(ExitCode.NO_ANSWER if listing.unread else ExitCode.DONE)


def _row(entry: Entry, now: datetime) -> Row:
    capture, ref = entry.capture, entry.ref
    return Row(
        name=str(ref),
        cells=(
            str(ref),
            view.age(now - entry.started),
            ref.maker.value,
            view.sealed(capture, entry.seal, entry.fault),
            str(len(capture.objects)),
            str(len(entry.seal.vadp.machines)) if entry.seal else "",
            entry.job,
            entry.restore_point,
            ",".join(f"{key}={value}" for key, value in sorted(entry.tags.items())),
            view.cluster(entry.seal),
            ref.location,
            decimal(capture.size),
            capture.where,
            enumerate_some(list(entry.namespaces)),
        ),
    )


def _document(chosen: Sequence[Entry], unread: Sequence[VmServiceError], now: datetime) -> Mapping[str, Any]:
    return {
        "captures": [
            {
                **view.described(entry.capture, entry.seal, entry.fault),
                "age_seconds": int((now - entry.started).total_seconds()),
                "objects": len(entry.capture.objects),
                "vms": len(entry.seal.vadp.machines) if entry.seal else None,
            }
            for entry in chosen
        ],
        "unread": buckets.unread_document(unread),
    }
