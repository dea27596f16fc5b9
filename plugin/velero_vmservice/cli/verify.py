"""`velero-vmservice verify`: whether a restored application is as it was captured, after it was powered on."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.cli import access, options, restore_target
from velero_vmservice.cli.captures.naming import CaptureName, capture_names
from velero_vmservice.cli.captures.view import location, named_capture
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import examples, namespace_mapping, object_option, table_output
from velero_vmservice.cli.views.table import Column, Form, Row, Sentences, Table
from velero_vmservice.kube.manifest import RESTORE
from velero_vmservice.restore.verify.checks import Verdict
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice import app
    from velero_vmservice.cli.views.table import Output
    from velero_vmservice.restore.verification import CapturedApplication
    from velero_vmservice.restore.verify.checks import Check

INTERVAL_SECONDS: Final = 5.0
_COLUMNS: Final = (
    Column("VERDICT"),
    Column("OBJECT"),
    Column("CHECK"),
    Column("EXPECTED"),
    Column("ACTUAL"),
    Column("GUIDE", wide=True),
    Column("NOTE"),
)
_STYLES: Final = {Verdict.DIFFERS: "red", Verdict.NOT_YET: "yellow"}
_CODES: Final = {Verdict.DIFFERS: ExitCode.FAILED, Verdict.NOT_YET: ExitCode.NOT_READY}


@click.command(
    epilog=examples(
        "verify nightly",
        "verify nightly/20261130T040000Z --namespace-mapping shop:shop-dr --timeout 10m",
        "verify --restore nightly-2 --connect -o wide",
    )
)
@click.argument("capture", required=False, type=CaptureName(), shell_complete=capture_names())
@object_option("--restore", RESTORE, "Of this Velero restore: its backup, mapping and selection.")
@location
@namespace_mapping
@click.option("--connect", is_flag=True, help="Connect to each TCP port of the load balancers, from here.")
@options.timeout
@table_output
def verify(
    capture: str | None,
    *,
    restore: str | None,
    location: str,
    mapping: Mapping[str, str],
    connect: bool,
    timeout: float | None,
    output: Output,
) -> None:
    """Compare a restored application with CAPTURE, named NAME or NAME/TIME, once it is powered on.

    Checks the VMs, their power, the members of groups in both directions, the endpoints and load balancers of services
    (guide 10.5, phase 3), and each attribute of the tables 8.1 to 8.3; -o wide shows those that are as expected too.
    Nothing is written, and nothing powered on. With --timeout it looks again until all is as expected. Exits with 5 if
    a check differs, with 4 if one may still become as expected, with 1 if an object could not be read.
    """
    restore_target.demand_one(capture, restore, mapping, option="--restore", what="CAPTURE")
    if restore and location:
        raise WrongUsage("--location is about CAPTURE alone", hint="leave it out: the restore names its backup")
    settings, plugin = access.connect()
    ref = named_capture(plugin, capture, location=location).ref if capture is not None else None
    wanted = restore_target.restore_of(plugin, settings, ref.name if ref else None, restore, mapping)
    run = RestoreRun.read(wanted, capture=ref)
    replays = plugin.backup_objects.replayed(run, run.spec)
    restore_target.demand_known(mapping, replays)
    application = plugin.verifying.read(replays, run, plugin.replays.policy(run))
    checks = _awaited(plugin, application, connect=connect, timeout=timeout)
    _table(checks, application, run, whole=output.form is not Form.TABLE).show(output)
    codes = [_CODES[check.verdict] for check in checks if check.verdict in _CODES]
    sys.exit(max(codes, default=ExitCode.NO_ANSWER if application.unread else ExitCode.DONE))


def _awaited(
    plugin: app.App, application: CapturedApplication, *, connect: bool, timeout: float | None
) -> Sequence[Check]:
    """Look until every check is as expected or cannot be made, or the time is over; once where there is none."""
    until = plugin.clock.monotonic() + (timeout or -math.inf)
    while True:
        checks = plugin.verifying.check(application, connect=connect)
        left = until - plugin.clock.monotonic()
        if left <= 0 or not any(check.verdict in _CODES for check in checks):
            return checks
        time.sleep(min(INTERVAL_SECONDS, left))


def _table(checks: Sequence[Check], application: CapturedApplication, run: RestoreRun, *, whole: bool) -> Table:
    counts = Counter(check.verdict for check in checks)
    shown = [check for check in checks if whole or check.step or check.verdict is not Verdict.AS_EXPECTED]
    hidden = len(checks) - len(shown)
    return Table(
        columns=_COLUMNS,
        rows=[_row(check) for check in shown],
        document=_document(checks, application, run, counts),
        below=(
            *(f"not read: {text}" for text in application.unread),
            ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict),
            *([f"{hidden} attributes as expected are not shown: -o wide shows them"] if hidden else ()),
        ),
    )


def _row(check: Check) -> Row:
    return Row(
        name=f"{check.ref.kind.name}/{check.ref.namespace}/{check.ref.name}",
        cells=(
            (str(check.verdict), _STYLES.get(check.verdict, "")),
            str(check.ref),
            check.attribute,
            check.expected,
            check.actual,
            check.source,
            Sentences(check.note),
        ),
    )


def _document(
    checks: Sequence[Check], application: CapturedApplication, run: RestoreRun, counts: Mapping[Verdict, int]
) -> dict[str, Any]:
    return {
        "capture": str(run.capture or run.backup),
        "restore": run.name if run.of_velero else "",
        "summary": {str(verdict): counts.get(verdict, 0) for verdict in Verdict},
        "unread": list(application.unread),
        "checks": [
            {
                "kind": check.ref.kind.name,
                "namespace": check.ref.namespace,
                "name": check.ref.name,
                **{key: str(value) for key, value in asdict(check).items() if key not in ("ref", "step")},
            }
            for check in checks
        ],
    }
