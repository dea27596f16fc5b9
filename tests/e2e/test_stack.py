"""The stack itself: each Velero version starts on it, backs up and restores, before any plugin of ours is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.build import VELERO_VERSIONS
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.stack import Stack


@pytest.mark.parametrize("version", VELERO_VERSIONS)
def test_velero_backs_up_and_restores_a_config_map(stack: Stack, version: str) -> None:
    velero = stack.velero(version, name=f"plain-{version.replace('.', '-')}")
    velero.start()
    cluster = stack.cluster
    namespace = cluster.namespace(f"app-{version.replace('.', '-')}")
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": namespace},
            "data": {"colour": "green"},
        }
    )

    backup = velero.backup("b1", f"--include-namespaces={namespace}")
    assert backup["status"]["phase"] == "Completed"
    assert "backups/b1/b1.tar.gz" in stack.store.keys(velero.bucket)

    cluster.kubectl("delete", "namespace", namespace)
    restore = velero.restore("r1", "--from-backup=b1")

    assert restore["status"]["phase"] == "Completed"
    assert cluster.get("configmaps", "settings", namespace=namespace)["data"] == {"colour": "green"}
    assert velero.cli("restore", "logs", "r1")
    velero.close()
    wait_until(lambda: not velero.plugin_processes(), 10, "no plugin process is left")
