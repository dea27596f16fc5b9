"""What the documents tell a reader to apply and to run, on a real API server and with real Velero."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from typing import TYPE_CHECKING

import yaml

from tests.e2e.build import binary
from tests.e2e.processes import run_command
from tests.e2e.scene import Scene, on_newest_velero
from tests.e2e.velero import BLOCKED_RESOURCES
from tests.emulator import machines
from tests.tools.documented_commands import commands
from tests.tools.markdown import documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.cluster import Manifest


def fences(language: str, *, containing: str) -> list[str]:
    """Return the blocks of a language in all documents that contain a text."""
    tokens = [token for document in documents() for token in document.tokens if token.type == "fence"]
    return [token.content for token in tokens if token.info == language and containing in token.content]


def manifests() -> Iterator[Manifest]:
    for block in fences("yaml", containing="apiVersion:"):
        yield from yaml.safe_load_all(block)


@on_newest_velero
def test_every_manifest_is_accepted_as_it_stands(scene: Scene) -> None:
    documented = [*manifests()]
    assert {manifest["kind"] for manifest in documented} >= {"Backup", "ConfigMap", "Schedule"}
    for manifest in documented:
        manifest["metadata"]["namespace"] = scene.server.namespace
    text = yaml.safe_dump_all(documented)
    scene.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f-", stdin=text)


@cache
def options_of(*subcommands: str) -> str:
    return run_command([binary("velero-1.18.2"), *subcommands, "--help"])


def test_every_option_of_velero_is_one() -> None:
    for document, arguments in commands("velero"):
        first_option = next((at for at, word in enumerate(arguments) if word.startswith("-")), len(arguments))
        help_text = options_of(*arguments[: min(first_option, 2)])
        for option in (word.partition("=")[0] for word in arguments if word.startswith("--")):
            assert f"{option} " in help_text or f"{option}\n" in help_text, f"{document}: velero {' '.join(arguments)}"


@on_newest_velero
def test_the_list_of_the_vsphere_plugin_is_given_back(scene: Scene, space: str, tmp_path: Path) -> None:
    scene.server.reset_blocked_resources()
    before = scene.cluster.get("configmaps", BLOCKED_RESOURCES, namespace=scene.server.namespace)["data"]
    scene.cluster.create(machines.namespace(space))
    scene.server.backup(space, f"--include-namespaces={space}")
    (block,) = fences("", containing="--patch-file list.json")
    environment = {
        "PATH": f"{binary('kubectl').parent}{os.pathsep}{os.environ['PATH']}",
        "KUBECONFIG": str(scene.cluster.kubeconfig),
    }

    script = block.replace("-n velero ", f"-n {scene.server.namespace} ")
    subprocess.run(["sh", "-euc", script], env=environment, cwd=tmp_path, check=True, capture_output=True, timeout=60)

    after = scene.cluster.get("configmaps", BLOCKED_RESOURCES, namespace=scene.server.namespace)
    assert after["data"] == before
    assert "annotations" not in after["metadata"]
