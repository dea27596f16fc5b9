"""`velero-vmservice captures verify`: whether captures are still what was sealed, and would be taken."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.captures.inspection.verification import State
from velero_vmservice.cli import access
from velero_vmservice.cli.captures import view
from velero_vmservice.cli.captures.naming import CaptureName, capture_names
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage, worst
from velero_vmservice.cli.options import examples, namespace_mapping, table_output
from velero_vmservice.cli.views import buckets
from velero_vmservice.cli.views.progress import progress
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.captures.catalogue import StoredCapture
    from velero_vmservice.captures.inspection.verification import Verified
    from velero_vmservice.cli.views.table import Output
    from velero_vmservice.errors import VmServiceError

_COLUMNS: Final = (
    Column("CAPTURE"),
    Column("STATE"),
    Column("DOCUMENTS"),
    Column("TRIED"),
    Column("WHERE", wide=True),
    Column("FOUND"),
)
_STYLES: Final = {State.WHOLE: "green", State.UNSEALED: "yellow", State.UNREAD: "yellow"}
_CODES: Final = {
    State.WHOLE: ExitCode.DONE,
    State.UNSEALED: ExitCode.BLOCKED,
    State.UNREAD: ExitCode.NO_ANSWER,
    State.REFUSED: ExitCode.FAILED,
    State.DAMAGED: ExitCode.FAILED,
}


@click.command(
    epilog=examples(
        "captures verify nightly",
        "captures verify --all -o json",
        "captures verify nightly --deep --namespace-mapping shop:shop-test",
    )
)
@click.argument("captures", metavar="[CAPTURE]...", nargs=-1, type=CaptureName(), shell_complete=capture_names())
@click.option("--all", "every", is_flag=True, help="Every capture in the buckets; one without a seal is no failure.")
@click.option("--deep", is_flag=True, help="Try every object on the API server as well, without consequences.")
@namespace_mapping
@view.location
@table_output
def verify(
    captures: tuple[str, ...],
    *,
    every: bool,
    deep: bool,
    mapping: Mapping[str, str],
    location: str,
    output: Output,
) -> None:
    """Read every document of each CAPTURE again, and check it against the seal and against what it says of itself.

    With --deep every object is also tried on the API server and its webhooks, in its own namespace or in the one that
    it is mapped to, and nothing is written. Exits with 5 if a document is damaged or an object would be refused, with 3
    if a capture that was named has no seal, with 1 if a document or a bucket could not be read.
    """
    if bool(captures) == every:
        raise WrongUsage("name captures, or ask for --all")
    if mapping and not deep:
        raise WrongUsage("--namespace-mapping is where objects are tried", hint="give --deep as well")
    _, plugin = access.connect()
    chosen, unread = list["StoredCapture"](), list["VmServiceError"]()
    if every:
        listing = plugin.catalogue.list(location=location)
        chosen, unread = [*listing.captures], [*listing.unread]
    else:
        chosen = [view.named_capture(plugin, name, location=location) for name in dict.fromkeys(captures)]
    buckets.remark_unread(unread)
    steps = sum(len(capture.documents) + (len(capture.objects) if deep else 0) for capture in chosen)
    with progress("verifying", steps) as done:
        verified = [plugin.verification.of(capture, deep=deep, mapping=mapping, done=done) for capture in chosen]
    Table(
        columns=_COLUMNS,
        rows=[_row(each, deep=deep) for each in verified],
        document={"captures": [_described(each) for each in verified], "unread": buckets.unread_document(unread)},
        below=list(_below(verified)),
    ).show(output)
    codes = [_CODES[each.state] for each in verified if not (every and each.state is State.UNSEALED)]
    sys.exit(worst(*codes, *[ExitCode.NO_ANSWER] * bool(unread)))


def _row(each: Verified, *, deep: bool) -> Row:
    contents = each.contents
    taken = sum(tried.refused is None for tried in each.tried)
    return Row(
        name=str(contents.capture.ref),
        cells=(
            str(contents.capture.ref),
            (each.state.value, _STYLES.get(each.state, "red")),
            str(contents.documents),
            f"{taken}/{len(each.tried)}" if deep else "",
            contents.capture.where,
            Sentences(*_findings(each)),
        ),
    )


def _findings(each: Verified) -> Iterator[str]:
    for _, fault in sorted(each.contents.faults.items()):
        yield fault.message
    for key in each.contents.unlisted:
        yield f"{key} is not in the seal: a restore does not read it"
    for tried in each.tried:
        if tried.refused is not None:
            yield f"{tried.ref}: {tried.refused.message}"
    if each.untried is not None:
        yield f"not tried: {each.untried.message}"


def _below(verified: Sequence[Verified]) -> Iterator[str]:
    if any(each.state is State.DAMAGED for each in verified):
        yield "restore from another capture instead of a damaged one, and find out who can write to the bucket"
    whole = sum(each.state is State.WHOLE for each in verified)
    yield f"{whole} of {len(verified)} captures are whole"


def _described(each: Verified) -> Mapping[str, Any]:
    contents = each.contents
    fault = contents.faults.get(contents.capture.run.seal_key)
    return {
        **view.described(contents.capture, contents.seal, fault),
        "state": each.state.value,
        "faults": [
            {"key": key, "code": error.code, "error": error.message, "hint": error.hint}
            for key, error in sorted(contents.faults.items())
        ],
        "not_in_the_seal": list(contents.unlisted),
        "tried": [
            {
                "kind": tried.ref.kind.name,
                "namespace": tried.ref.namespace,
                "name": tried.ref.name,
                "refused": tried.refused.message if tried.refused else "",
                "hint": tried.refused.hint if tried.refused else "",
            }
            for tried in each.tried
        ],
        "not_tried": each.untried.message if each.untried else "",
    }
