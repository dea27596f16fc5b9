"""The restore that a command is about: one of Velero's, or the one that a backup or another capture would get."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from velero_vmservice.captures.applications import applications_of, chosen
from velero_vmservice.cli import access
from velero_vmservice.cli.captures.choice import capture_of
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.views import terminal
from velero_vmservice.kube.manifest import RESTORE, Manifest, ObjectRef
from velero_vmservice.restore.source.backup_objects import run_of
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from velero_vmservice.app import App
    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.captures.applications import CapturedApplication
    from velero_vmservice.cli.captures.choice import Chosen
    from velero_vmservice.settings.reading import Settings
    from velero_vmservice.velero.runs import Replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A restore to plan or to make."""

    plugin: App
    manifest: Manifest
    """The Restore, which Velero need not have."""
    run: RestoreRun
    applications: Sequence[CapturedApplication] = field(default=())
    """The applications that objects or applications were named of; none where the whole capture is meant."""


def target(
    backup: str | None,
    restore: str | None,
    mapping: Mapping[str, str],
    choice: Chosen,
    policy: Mapping[str, str],
) -> Target:
    """Connect, and return what a Backup, a Velero Restore or a capture is restored as.

    Which capture `latest` and `match` stand for is printed, as is what belongs together with chosen objects.
    Raises `WrongUsage` unless one of the three is named, `NotRestorable` where no capture fits, and what reading
    raises.
    """
    if sum(map(bool, (backup, restore, choice.capture))) != 1:
        ways = "a BACKUP, a capture with --from, or a restore with --resume"
        raise WrongUsage(f"name {ways}" if not (backup or choice.capture or restore) else f"name one of {ways}")
    if not choice.capture:
        plugin, manifest = connect(backup, restore, mapping, option="--resume")
        if restore and choice.narrows:
            raise WrongUsage("what is restored is the restore's own", hint="leave -n, --object and --application out")
        run = RestoreRun.read(manifest)
        if choice.namespaces:
            manifest = _manifest(run.backup, run.namespace, mapping, choice)
            run = RestoreRun.read(manifest)
    else:
        settings, plugin = access.connect()
        manifest, run = of_capture(plugin, settings, choice, mapping)
    options = tuple(text for namespace in choice.namespaces for text in ("-n", namespace))
    run = replace(run, annotations={**run.annotations, **policy}, options=(*run.options, *options))
    if not (choice.objects or choice.applications):
        return Target(plugin=plugin, manifest=manifest, run=run)
    return _narrowed(Target(plugin=plugin, manifest=manifest, run=run), choice)


def of_capture(
    plugin: App, settings: Settings, choice: Chosen, mapping: Mapping[str, str]
) -> tuple[Manifest, RestoreRun]:
    """Return the restore that a capture would get; raises as `target`."""
    ref = capture_of(plugin, choice, mapping)
    manifest = _manifest(ref.name, settings.velero_namespace, mapping, choice)
    return manifest, replace(RestoreRun.read(manifest, capture=ref), where=choice.where)


def connect(
    backup: str | None, restore: str | None, mapping: Mapping[str, str], *, option: str
) -> tuple[App, Manifest]:
    """Connect as the settings say; return the plugin and the Restore, which `option` or else a backup names."""
    demand_one(backup, restore, mapping, option=option)
    settings, plugin = access.connect()
    return plugin, restore_of(plugin, settings, backup, restore, mapping)


def demand_one(
    source: str | None, restore: str | None, mapping: Mapping[str, str], *, option: str, what: str = "BACKUP"
) -> None:
    """Raise `WrongUsage` unless a source or a restore is named, or where a restore's own mapping is given as well."""
    if (source is None) == (restore is None):
        raise WrongUsage(f"name a {what}, or a restore with {option}")
    if restore and mapping:
        raise WrongUsage("the namespace mapping is the restore's own", hint="leave --namespace-mapping out")


def restore_of(
    plugin: App, settings: Settings, backup: str | None, restore: str | None, mapping: Mapping[str, str]
) -> Manifest:
    """Return the Restore that is named, or one that Velero does not have, of the backup that is."""
    if restore:
        return plugin.cluster.get(ObjectRef(RESTORE, settings.velero_namespace, restore))
    return run_of(str(backup), namespace=settings.velero_namespace, mapping=mapping, annotations={})


def beyond_words(backup: BackupRun, namespaces: Sequence[str]) -> str:
    """Return a warning: a backup would restore more than its Backup object includes, so its seal may be changed."""
    listed = f"the seal of Backup {backup.name} lists objects of {', '.join(namespaces)}"
    unsure = (
        ", and the Backup itself is gone, so what it included is unknown:"
        if backup.object_gone
        else ", which the Backup does not include:"
    )
    return f"{listed}{unsure} a writer of the bucket can have added them"


def demand_known(mapping: Mapping[str, str], replays: Iterable[Replay]) -> None:
    """Raise `WrongUsage` for a namespace that is mapped and that the capture holds nothing of.

    Only of a mapping on the command line: that of a Restore may name namespaces that hold other resources alone.
    """
    captured = sorted({replay.namespace for replay in replays})
    if unknown := sorted(mapping.keys() - set(captured)):
        raise WrongUsage(
            f"the capture holds no object of namespace {', '.join(unknown)}",
            hint=f"name one of: {', '.join(captured)}"
            if captured
            else "restore from another capture, as this one holds nothing",
        )


def _manifest(name: str, velero_namespace: str, mapping: Mapping[str, str], choice: Chosen) -> Manifest:
    """Return a Restore that Velero does not have, of the namespaces that are chosen."""
    content = run_of(name, namespace=velero_namespace, mapping=mapping, annotations={}).editable()
    if choice.namespaces:
        content["spec"]["includedNamespaces"] = list(choice.namespaces)
    return Manifest(content)


def _narrowed(whole: Target, choice: Chosen) -> Target:
    """Return the restore of chosen applications alone, and print what belongs to each."""
    plugin, run = whole.plugin, whole.run
    every = applications_of(
        plugin.restore_points.store(run), plugin.restore_points.seal(run), namespaces=choice.namespaces
    )
    picked = chosen(every, objects=choice.objects, names=choice.applications)
    for application in picked:
        parts = ", ".join(map(str, application.objects))
        vms = f"; VMs {', '.join(application.vms)}" if application.vms else ""
        terminal.remark(f"application {application.name.namespace}/{application.name.name}: {parts}{vms}")
    named = tuple(text for entry in picked for text in ("--application", f"{entry.name.namespace}/{entry.name.name}"))
    objects = frozenset(ref for application in picked for ref in application.objects)
    return replace(whole, run=replace(run, objects=objects, options=(*run.options, *named)), applications=tuple(picked))
