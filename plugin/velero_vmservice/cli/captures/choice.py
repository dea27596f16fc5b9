"""Which capture a command is about, and which part of it: `--from` with what belongs to it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from velero_vmservice.archive.schema import moment
from velero_vmservice.captures.applications import ObjectName
from velero_vmservice.captures.matching import ranking
from velero_vmservice.captures.matching.choosing import LATEST, MATCH, MatchRequest
from velero_vmservice.captures.matching.evidence import Fit, counted
from velero_vmservice.cli.captures import view
from velero_vmservice.cli.captures.view import cluster, lack_clause, named_capture, remark_lacks
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.options import from_cluster, namespaces_option
from velero_vmservice.cli.views import terminal
from velero_vmservice.errors import InvalidItem, NotRestorable
from velero_vmservice.kube.manifest import compact_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from velero_vmservice.app import App
    from velero_vmservice.captures.catalogue import StoredCapture
    from velero_vmservice.captures.matching.choosing import Ranking
    from velero_vmservice.captures.matching.shortfall import Lack
    from velero_vmservice.velero.runs import CaptureRef

Result = TypeVar("Result")

_CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""So much is more than clocks that are kept, and the writing of a seal, account for."""
_NONE_FITS: Final = "no capture is known to fit the VMs that are registered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What of which capture is restored, as the options of a command say it."""

    capture: str = ""
    """NAME, NAME/TIME, `latest` or `match`; '' where a Backup or a Restore is named."""
    allow_newer: bool = False
    allow_fewer: bool = False
    only_reads: bool = False
    """Whether nothing is restored, so that what the capture lacks is no more than a remark."""
    from_cluster: str = ""
    """UID of namespace kube-system of the cluster that was captured, or `any`; '' for the connected one."""
    location: str = ""
    """The BackupStorageLocation whose bucket it lies in; '' for any."""
    namespaces: tuple[str, ...] = ()
    objects: tuple[ObjectName, ...] = ()
    applications: tuple[str, ...] = ()

    @property
    def where(self) -> tuple[str, ...]:
        """The options beside `--from` that say which capture is meant."""
        named = (("--from-cluster", self.from_cluster), ("--location", self.location))
        return tuple(text for option in named if option[1] for text in option)

    @property
    def may_change(self) -> bool:
        """Whether it stands for whichever capture is the newest, or fits, when it is looked for."""
        return bool(self.capture) and "/" not in self.capture

    def concerns(self, lack: Lack) -> bool:
        """Say whether an object that the capture lacks would be restored if it were there."""
        if not (self.objects or self.applications):
            return True
        application = lack.application
        return application is not None and (
            any(map(application.is_named, self.applications))
            or any(name.is_of(ref) for name in self.objects for ref in application.objects)
        )

    def refuses(self, lack: Lack) -> bool:
        """Say whether an object that the capture lacks speaks against it, as it may be back only after a recovery."""
        return lack.recovering and self.may_change and self.concerns(lack)

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything of the capture out."""
        return bool(self.namespaces or self.objects or self.applications)


allow_fewer_objects = click.option(
    "--allow-fewer-objects",
    "allow_fewer",
    is_flag=True,
    help="Take a capture that lacks what an earlier one holds, though it may have been taken during a recovery.",
)


def choice_of_capture(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the options that choose a capture and a part of it, which it gets as the argument `choice`."""

    @view.capture_option(
        LATEST,
        MATCH,
        help_text="Read this capture: NAME, NAME/TIME, `latest`, or `match` for the one that fits the registered VMs"
        " best.",
    )
    @click.option("--allow-newer", is_flag=True, help="Let `--from match` take a capture that is newer than its VMs.")
    @allow_fewer_objects
    @from_cluster
    @view.location
    @namespaces_option("Only objects of this namespace; repeatable. All without it.")
    @click.option(
        "--object",
        "objects",
        multiple=True,
        metavar="KIND/NAME",
        callback=_object_names,
        help="Only objects that belong together with this one; repeatable.",
    )
    @click.option(
        "--application",
        "applications",
        multiple=True,
        metavar="NAME",
        help="Only the application that this group or service belongs to; repeatable.",
    )
    @functools.wraps(command)
    def called(
        *,
        capture: str,
        allow_newer: bool,
        allow_fewer: bool,
        from_cluster: str,
        location: str,
        namespaces: tuple[str, ...],
        objects: tuple[ObjectName, ...],
        applications: tuple[str, ...],
        **others: Any,
    ) -> Result:
        choice = Chosen(
            capture=capture,
            allow_newer=allow_newer,
            allow_fewer=allow_fewer,
            from_cluster=from_cluster,
            location=location,
            namespaces=namespaces,
            objects=objects,
            applications=applications,
        )
        if allow_newer and capture != MATCH:
            raise WrongUsage("--allow-newer is about --from match alone", hint="leave it out: a capture is named")
        if not capture:
            demand_capture(allow_fewer_objects=allow_fewer, from_cluster=from_cluster, location=location)
        return command(choice=choice, **others)

    return called


def demand_capture(**options: str | bool) -> None:
    """Raise `WrongUsage` for options that say which capture is meant, where no capture is named."""
    for option, value in options.items():
        if value:
            name = option.replace("_", "-")
            raise WrongUsage(f"--{name} is about --from alone", hint="leave it out: no capture is named")


def _object_names(
    _context: click.Context, _parameter: click.Parameter, references: tuple[str, ...]
) -> tuple[ObjectName, ...]:
    try:
        return tuple(map(ObjectName.read, references))
    except InvalidItem as error:
        raise WrongUsage(error.message, hint=error.hint) from None


def capture_of(plugin: App, choice: Chosen, mapping: Mapping[str, str]) -> CaptureRef:
    """Return the capture to read; says which it is where that was not named.

    Raises `NotRestorable` for a capture of another cluster than is meant, or with fewer objects than before, and where
    none fits; `NotFound` where there is none; and what reading raises.
    """
    if choice.capture == MATCH:
        return _matching(plugin, choice, mapping)
    if choice.capture == LATEST:
        latest = plugin.capture_choice.latest(
            choice.namespaces,
            (*choice.applications, *choice.objects),
            location=choice.location,
            from_cluster=choice.from_cluster,
        )
        for sentence in latest.passed_over:
            terminal.remark(sentence)
        capture, lacks = latest.capture, latest.lacks
        terminal.remark(f"the latest capture is {capture.ref}")
    else:
        capture = named_capture(plugin, choice.capture, location=choice.location, from_cluster=choice.from_cluster)
        _demand_cluster(plugin, capture, choice.from_cluster)
        lacks = plugin.capture_choice.lacks(capture, choice.namespaces, location=choice.location)
    if choice.may_change:
        _remark_clock(plugin, capture)
    _demand_no_fewer(capture.ref, lacks, choice)
    return capture.ref


def _remark_clock(plugin: App, capture: StoredCapture) -> None:
    """Say that the newest capture may not be the newest, where the clock of its host is not that of the store."""
    seal = plugin.catalogue.seals([capture]).whole.get(capture.ref)
    by_host = compact_time(seal.sealed_at) if seal else ""
    by_store = compact_time(capture.written.isoformat())
    if by_host and abs(moment(by_host) - moment(by_store)) > _CLOCKS_DIFFER:
        terminal.remark(
            f"capture {capture.ref} was sealed at {by_host} by its host's clock and at {by_store} by the store's:"
            " captures are ordered by the clocks of their hosts, so another may be newer"
        )


def _demand_cluster(plugin: App, capture: StoredCapture, from_cluster: str) -> None:
    """Raise `NotRestorable` for a capture of another cluster than the one that is meant."""
    seal = plugin.catalogue.seals([capture]).whole.get(capture.ref)
    clusters = plugin.catalogue.clusters(from_cluster)
    if seal is None or not seal.cluster_id or clusters.is_surely(seal.cluster_id):
        return
    captured = cluster(seal)
    if not clusters.excludes:
        terminal.remark(
            f"capture {capture.ref} is of cluster {captured}; whether that is this one is not known, as namespace"
            " kube-system cannot be read"
        )
        return
    raise NotRestorable(
        f"capture {capture.ref} is not of {clusters}, but of {captured}",
        hint="check the kubeconfig's context; to restore it here, as after a failover, add --from-cluster"
        f" {seal.cluster_id}",
    )


def _matching(plugin: App, choice: Chosen, mapping: Mapping[str, str]) -> CaptureRef:
    application = choice.applications[0] if len(choice.applications) == 1 else ""
    ranked = plugin.capture_choice.ranked(
        MatchRequest(
            namespaces=choice.namespaces,
            application=application,
            mapping=mapping,
            concerns=choice.concerns,
            from_cluster=choice.from_cluster,
            location=choice.location,
        )
    )
    for problem in ranked.problems:
        terminal.remark(problem)
    allow_fewer = choice.allow_fewer or choice.only_reads
    best = ranking.best(ranked.matches, allow_newer=choice.allow_newer, allow_fewer=allow_fewer)
    if best is None:
        raise _none_fits(ranked, choice)
    terminal.remark(f"the best match is {best.candidate.ref}, {best.fit}: {counted(best.vms)}")
    _remark_clock(plugin, ranked.stored[best.candidate.ref])
    _demand_no_fewer(best.candidate.ref, best.lacks, choice)
    return best.candidate.ref


def _none_fits(ranked: Ranking, choice: Chosen) -> NotRestorable:
    first = ranked.matches[0]
    fewer = list(filter(choice.refuses, first.lacks))
    evidence = f"{first.candidate.ref} is {first.fit}: {counted(first.vms) or 'it has no VM'}"
    if first.fit is Fit.NEWER:
        hint = "use --allow-newer, or bring the VMs back from a newer restore point"
    elif fewer and first.recovering and ranking.best([first], allow_fewer=True):
        evidence += f"; {lack_clause(fewer)}"
        hint = _fewer_hint(fewer, choice)
    else:
        hint = "see `velero-vmservice match`, and name a capture: --from NAME/TIME"
    if ranked.unread:
        evidence += f"; {ranked.unread} older captures were not compared"
    return NotRestorable(f"{_NONE_FITS}: {evidence}", hint=hint)


def _demand_no_fewer(ref: CaptureRef, lacks: Iterable[Lack], choice: Chosen) -> None:
    """Raise `NotRestorable` for a capture that may have been taken during a recovery, unless that is allowed.

    What was removed beside its VMs is a remark. So is all that a capture lacks where it is named with its time, and so
    meant as it is, or is only read.
    """
    concerned = list(filter(choice.concerns, lacks))
    fewer = list(filter(choice.refuses, concerned))
    if fewer and not (choice.allow_fewer or choice.only_reads):
        raise NotRestorable(
            f"capture {ref} holds fewer objects than before: {lack_clause(fewer)}", hint=_fewer_hint(fewer, choice)
        )
    remark_lacks(ref, concerned)
    if fewer and not choice.allow_fewer:
        terminal.remark(f"to restore capture {ref}, give --allow-fewer-objects")


def _fewer_hint(fewer: Iterable[Lack], choice: Chosen) -> str:
    """Return the commands to go on with; an earlier capture is named only if it holds all that is lacked."""
    holders = {lack.holder for lack in fewer}
    accept = f"accept this one: `{terminal.invocation_from(choice.capture, '--allow-fewer-objects')}`"
    if len(holders) > 1:
        return f"none of these captures is known to hold all of it: {accept}, or name one with --from NAME/TIME"
    earlier = terminal.invocation_from(str(*holders), without=("--allow-newer",))
    return f"restore the earlier one: `{earlier}`, or {accept}"
