"""The restore that a command is about: one of Velero's, or the one that a backup would get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.cli import access
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.kube.manifest import RESTORE, Manifest, ObjectRef
from velero_vmservice.restore.source.backup_objects import run_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from velero_vmservice import app
    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.velero.runs import Replay


def connect(
    backup: str | None, restore: str | None, mapping: Mapping[str, str], *, option: str
) -> tuple[app.App, Manifest]:
    """Connect as the settings say; return the plugin and the Restore, which `option` or else a backup names."""
    if (backup is None) == (restore is None):
        raise WrongUsage(f"name a BACKUP, or a restore with {option}")
    if restore and mapping:
        raise WrongUsage("the namespace mapping is the restore's own", hint="leave --namespace-mapping out")
    chosen, plugin = access.connect()
    if restore:
        return plugin, plugin.cluster.get(ObjectRef(RESTORE, chosen.velero_namespace, restore))
    return plugin, run_of(str(backup), namespace=chosen.velero_namespace, mapping=mapping, annotations={})


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
    """Raise `WrongUsage` for a namespace that is mapped and that the backup has captured nothing of.

    Only of a mapping on the command line: that of a Restore may name namespaces that hold other resources alone.
    """
    captured = sorted({replay.namespace for replay in replays})
    if unknown := sorted(mapping.keys() - set(captured)):
        raise WrongUsage(
            f"the backup holds no captured object of namespace {', '.join(unknown)}",
            hint=f"name one of: {', '.join(captured)}"
            if captured
            else "restore from another backup, as this one captured nothing",
        )
