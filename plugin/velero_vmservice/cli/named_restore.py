"""The restore that a command is about: one of Velero's, or the one that a backup would get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from velero_vmservice import app, settings
from velero_vmservice.core.manifest import RESTORE, Manifest, ObjectRef
from velero_vmservice.flows.planning import run_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def connect(
    backup: str | None, restore: str | None, mapping: Mapping[str, str], *, option: str
) -> tuple[app.App, Manifest]:
    """Connect as the settings say; return the plugin and the Restore, which `option` or else a backup names."""
    if (backup is None) == (restore is None):
        raise click.UsageError(f"name a BACKUP, or a restore with {option}")
    if restore and mapping:
        raise click.UsageError("the namespace mapping is the restore's own: leave --namespace-mapping out")
    chosen = settings.load()
    plugin = app.connect(chosen)
    if restore:
        return plugin, plugin.cluster.get(ObjectRef(RESTORE, chosen.velero_namespace, restore))
    return plugin, run_of(str(backup), namespace=chosen.velero_namespace, mapping=mapping, annotations={})
