"""`velero-vmservice captures diff`: what differs between two captures, or between a capture and the cluster."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.captures.contents import read_contents
from velero_vmservice.captures.inspection import difference
from velero_vmservice.captures.inspection.difference import Change, compare
from velero_vmservice.cli import access
from velero_vmservice.cli.captures import view
from velero_vmservice.cli.captures.naming import CaptureName, capture_names
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import examples, namespace_mapping, table_output
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.captures.inspection.difference import Changed
    from velero_vmservice.cli.views.table import Output

_COLUMNS: Final = (Column("CHANGE"), Column("OBJECT"), Column("PATHS", wide=True), Column("DIFFERENCES"))
_STYLES: Final = {Change.ADDED: "green", Change.REMOVED: "red", Change.CHANGED: "yellow"}
_CLUSTER: Final = "the cluster"


@click.command(
    epilog=examples(
        "captures diff nightly",
        "captures diff nightly/20261129T040000Z nightly/20261130T040000Z",
        "captures diff nightly --namespace-mapping shop:shop-test -o json",
    )
)
@click.argument("first", metavar="CAPTURE", type=CaptureName(), shell_complete=capture_names())
@click.argument("second", metavar="[CAPTURE]", default="", type=CaptureName(""), shell_complete=capture_names())
@namespace_mapping
@view.location
@table_output
def diff(first: str, second: str, mapping: Mapping[str, str], *, location: str, output: Output) -> None:
    """Show what differs between two captures, from the first to the second, or from CAPTURE to the cluster as it is.

    Objects are compared in labels, annotations and spec, as a restore compares them; VMs in backup version, labels,
    group, UUIDs, image, volumes and bootstrap objects. Objects of CAPTURE are looked for in their own namespaces, or in
    those that they are mapped to. Exits with 0 if nothing differs, with 5 if anything does, with 3 if there is
    nothing to compare.
    """
    _, plugin = access.connect()
    earlier = read_contents(view.named_capture(plugin, first, location=location))
    known = {*earlier.namespaces, *(ref.namespace for ref in earlier.objects)}
    if unknown := sorted(mapping.keys() - known):
        raise WrongUsage(f"the capture holds nothing of namespace {', '.join(unknown)}")
    before = difference.of_capture(earlier, mapping)
    if second:
        later = read_contents(view.named_capture(plugin, second, location=location))
        after, named = difference.of_capture(later, {}), str(later.capture.ref)
    else:
        targets = {mapping.get(namespace, namespace) for namespace in known}
        after, named = difference.of_cluster(plugin.cluster, targets, before.objects), _CLUSTER
    changes = compare(before, after)
    nothing = before.is_empty and after.is_empty
    Table(
        columns=_COLUMNS,
        rows=[_row(each) for each in changes],
        document={
            "first": str(earlier.capture.ref),
            "second": named if second else None,
            "changes": [_described(each) for each in changes],
        },
        above=[f"from {earlier.capture.ref} to {named}"],
        below=list(_below(changes, nothing=nothing)),
    ).show(output)
    if nothing:
        sys.exit(ExitCode.BLOCKED)
    sys.exit(ExitCode.FAILED if changes else ExitCode.DONE)


def _below(changes: Sequence[Changed], *, nothing: bool) -> Iterator[str]:
    if nothing:
        yield "there is nothing to compare: neither side has a group, a service or a VM"
    elif not changes:
        yield "nothing differs"


def _row(each: Changed) -> Row:
    ref = each.ref
    return Row(
        name=f"{ref.kind.name}/{ref.namespace}/{ref.name}",
        cells=(
            (each.change.value, _STYLES[each.change]),
            str(ref),
            ",".join(difference.path for difference in each.differences),
            Sentences(*_sentences(each)),
        ),
    )


def _sentences(each: Changed) -> Iterator[str]:
    if each.not_captured:
        yield (
            "it exists there and is not captured"
            if each.change is Change.REMOVED
            else "it existed and was not captured"
        )
    for field in each.differences:
        yield f"{field.path}: {_value(field.wanted)} → {_value(field.live)}"


def _value(content: Any) -> str:
    return "-" if content is None else json.dumps(content, ensure_ascii=False, sort_keys=True)


def _described(each: Changed) -> Mapping[str, Any]:
    return {
        "kind": each.ref.kind.name,
        "namespace": each.ref.namespace,
        "name": each.ref.name,
        "change": each.change.value,
        "not_captured": each.not_captured,
        "differences": [
            {"path": field.path, "first": field.wanted, "second": field.live} for field in each.differences
        ],
    }
