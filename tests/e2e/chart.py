"""The project's own Helm chart: rendered by the real helm, and installed on the tests' API server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.e2e.build import binary
from tests.e2e.processes import run_command

if TYPE_CHECKING:
    from tests.e2e.cluster import Cluster, Manifest

NAME: Final = "velero-plugin-for-vmservice"
CHARTS: Final = Path(__file__).parents[2] / "charts"
CHART: Final = CHARTS / NAME
OVERLAY: Final = CHARTS / "velero-values.yaml"
VARIANTS: Final = tuple(sorted((CHART / "ci").glob("*-values.yaml")))
NAMESPACE: Final = "backup-system"
"""Where a chart is rendered for that is not installed."""

TOKEN: Final = f"{NAME}-token"


def helm(*arguments: str | Path) -> str:
    """Run helm and return what it printed; raises `CommandFailedError` with its words."""
    return run_command([binary("helm"), *arguments])


def rendered(*arguments: str | Path, values: dict[str, Any] | None = None) -> list[Manifest]:
    """Return the objects that an installation into `NAMESPACE` would make."""
    written = [] if values is None else ["--values=-"]
    command = [binary("helm"), "template", NAME, CHART, f"--namespace={NAMESPACE}", *written, *arguments]
    text = run_command(command, stdin=None if values is None else yaml.safe_dump(values))
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The chart in a namespace, beside a Velero."""

    cluster: Cluster
    namespace: str

    @property
    def user(self) -> str:
        """The plugin's account, as the API server names it."""
        return f"system:serviceaccount:{self.namespace}:{NAME}"

    def upgrade(self, *settings: str) -> None:
        """Install the chart, or upgrade to other values; each setting is `key=value`."""
        chosen = (f"--set={setting}" for setting in settings)
        self._helm("upgrade", NAME, CHART, "--install", *chosen)

    def uninstall(self) -> None:
        """Remove the chart."""
        self._helm("uninstall", NAME)

    def kubeconfig(self) -> Path:
        """Return a kubeconfig of the plugin's account."""
        return self.cluster.service_account(self.namespace, TOKEN)

    def _helm(self, *arguments: str | Path) -> None:
        helm(*arguments, f"--namespace={self.namespace}", f"--kubeconfig={self.cluster.kubeconfig}")
