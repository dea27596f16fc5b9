"""`preflight --restore` and `preflight --compare`: what a restore asks beforehand, and what it has left over."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from velero_vmservice.archive.findings import Verdict
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.preflight.view import STYLES, reason_entry, remedies
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table
from velero_vmservice.preflight.checklist import bears_one_of
from velero_vmservice.preflight.restoring import RestoreKind
from velero_vmservice.preflight.state import ClaimFate, RecordedState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.preflight.before_restore import RestoreCheck
    from velero_vmservice.preflight.captured import CapturedApplications
    from velero_vmservice.preflight.state import ClaimChange

_COLUMNS: Final = (
    Column("VERDICT"),
    Column("APPLICATION"),
    Column("INTO"),
    Column("VMS"),
    Column("OBJECTS", wide=True),
    Column("REASONS"),
)
_CLAIM_COLUMNS: Final = (Column("VM"), Column("VOLUME"), Column("PVC BEFORE"), Column("PVC NOW"), Column("STATE"))
_FATES: Final = {ClaimFate.LEFT_OVER: "yellow", ClaimFate.GONE: "red", ClaimFate.MOVED: "red"}


def chosen_applications(
    captured: CapturedApplications, names: Collection[str], namespaces: Collection[str]
) -> Sequence[ApplicationVerdict]:
    """Return the applications of a capture that are asked for; raises `WrongUsage` for what it does not hold."""
    held = [each for each in captured.applications if not namespaces or each.namespace in namespaces]
    for namespace in namespaces:
        if namespace not in captured.facts:
            raise WrongUsage(
                f"the capture has no namespace {namespace}", hint=f"it has: {', '.join(sorted(captured.facts))}"
            )
    for name in names:
        if not any(bears_one_of(each, [name]) for each in held):
            known = ", ".join(f"{each.namespace}/{each.name}" for each in held)
            raise WrongUsage(f"the capture has no application {name}", hint=f"it has: {known}" if known else "")
    return [each for each in held if not names or bears_one_of(each, names)]


def mapping_into(
    mapping: Mapping[str, str], into: str, captured: CapturedApplications, kind: RestoreKind
) -> Mapping[str, str]:
    """Return where each namespace goes; raises `WrongUsage` for what contradicts itself or the capture."""
    if kind is RestoreKind.IN_PLACE and (mapping or into):
        raise WrongUsage("a restore in place is made where the VMs are", hint="leave the other namespace out")
    if into and mapping:
        raise WrongUsage("--into and --namespace-mapping say the same", hint="give one of them")
    for name in mapping:
        if name not in captured.facts:
            raise WrongUsage(
                f"the capture has no namespace {name}", hint=f"it has: {', '.join(sorted(captured.facts))}"
            )
    if into and len(captured.facts) > 1:
        raise WrongUsage(
            f"the capture has {len(captured.facts)} namespaces, and --into names one",
            hint="map each of them with --namespace-mapping FROM:TO",
        )
    return dict.fromkeys(captured.facts, into) if into else mapping


def write_state(path: Path, state: RecordedState) -> None:
    """Keep the state in a file that no one else can read; raises `WrongUsage` if it is there or cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise WrongUsage(
            f"the state cannot be recorded in {path}: {error.strerror}", hint="name a file that does not exist yet"
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(state.model_dump(mode="json"), file, indent=1, ensure_ascii=False)


def read_state(path: Path) -> RecordedState:
    """Read a state that `write_state` kept; raises `WrongUsage` for any other file."""
    try:
        return RecordedState.model_validate_json(path.read_bytes())
    except OSError as error:
        raise WrongUsage(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise WrongUsage(
            f"{path} holds no recorded state", hint="name the file that preflight --record has written"
        ) from error


def restore_table(check: RestoreCheck, captured: CapturedApplications, recorded: Path | None) -> Table:
    """Return the verdicts on a restore."""
    releases = dict.fromkeys(str(target.release.generation) for target in check.targets.values())
    return Table(
        columns=_COLUMNS,
        rows=[_row(each, check) for each in check.verdicts],
        document={
            "restore": check.kind.value,
            "capture": str(captured.capture.ref),
            "vadp": {"job": captured.vadp.job, "restore_point": captured.vadp.restore_point},
            "release": list(releases),
            "recorded": str(recorded) if recorded else "",
            "applications": [_entry(each, check) for each in check.verdicts],
        },
        above=[_heading(check.kind, captured, ", ".join(releases) or "none")],
        below=list(_below(check, recorded)),
    )


def _heading(kind: RestoreKind, captured: CapturedApplications, target: str) -> str:
    job, point = captured.vadp.job, captured.vadp.restore_point
    named = [f"VADP job {job}" if job else "", f"restore point {point}" if point else ""]
    of_job = f" ({', '.join(filter(None, named))})" if any(named) else ""
    return f"restore {kind} from {captured.capture.ref}{of_job}; target: {target}"


def _row(each: ApplicationVerdict, check: RestoreCheck) -> Row:
    return Row(
        name=f"{each.namespace}/{each.name}",
        cells=(
            (each.verdict, STYLES[Verdict(each.verdict)]),
            f"{each.namespace}/{each.name}",
            check.targets[each.namespace].state.namespace,
            str(len(each.vms)),
            ", ".join(map(str, each.objects)),
            Sentences(*(finding.sentence() for finding in each.reasons)),
        ),
    )


def _entry(each: ApplicationVerdict, check: RestoreCheck) -> dict[str, Any]:
    return {
        "verdict": each.verdict,
        "kind": each.kind,
        "namespace": each.namespace,
        "into": check.targets[each.namespace].state.namespace,
        "name": each.name,
        "objects": [part.model_dump() for part in each.objects],
        "vms": list(each.vms),
        "reasons": [reason_entry(finding) for finding in each.reasons],
    }


def _below(check: RestoreCheck, recorded: Path | None) -> Iterator[str]:
    yield from remedies(check.verdicts)
    if not check.verdicts:
        yield "the capture has no application and no VM to check"
    if recorded:
        yield f"recorded: {recorded}; afterwards: {terminal.PROGRAM} preflight --compare {shlex.quote(str(recorded))}"
    if check.kind is RestoreKind.IN_PLACE:
        patch = shlex.quote(json.dumps({"spec": {"powerState": "PoweredOff"}}))
        for namespace, vm in check.powered_on():
            yield f"power off: kubectl -n {namespace} patch virtualmachine {vm.name} --type merge -p {patch}"


def compared_table(state: RecordedState, changes: Sequence[ClaimChange]) -> Table:
    """Return what became of recorded PVCs."""
    return Table(
        columns=_CLAIM_COLUMNS,
        rows=[
            Row(
                name=f"{change.namespace}/{change.claim}",
                cells=(
                    f"{change.namespace}/{change.vm}",
                    change.volume,
                    change.claim,
                    change.now,
                    (change.fate.value, _FATES.get(change.fate, "green")),
                ),
            )
            for change in changes
        ],
        document={
            "recorded_at": state.recorded_at,
            "capture": state.capture,
            "claims": [
                {
                    "namespace": change.namespace,
                    "vm": change.vm,
                    "volume": change.volume,
                    "before": change.claim,
                    "now": change.now,
                    "state": change.fate.value,
                }
                for change in changes
            ],
        },
        above=[f"recorded at {state.recorded_at}, before a restore from {state.capture}"],
        below=list(_left_over(changes)),
    )


def _left_over(changes: Sequence[ClaimChange]) -> Iterator[str]:
    left = [f"{change.namespace}/{change.claim}" for change in changes if change.fate is ClaimFate.LEFT_OVER]
    if left:
        yield f"left over, and used by no VM: {', '.join(left)}; their owner deletes them once the VM is sound"
    elif changes:
        yield "no recorded PVC is left over"
    else:
        yield "no PVC was recorded"
