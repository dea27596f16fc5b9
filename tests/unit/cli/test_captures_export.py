from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.unit.captures.scenes import GOLD, taken_twice

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.command_line import CommandLine
    from tests.unit.world import World


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = taken_twice()
    command.connects_to(world.start)
    return world


@pytest.mark.usefixtures("world")
def test_a_directory_is_what_kustomize_takes(command: CommandLine, tmp_path: Path) -> None:
    ran = command("captures", "export", "gold", str(tmp_path))
    assert (ran.code, ran.lines) == (0, [f"written: 2 objects and kustomization.yaml in {tmp_path}"])
    text = (tmp_path / "kustomization.yaml").read_text()
    assert yaml.safe_load(text) == {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "sortOptions": {"order": "fifo"},
        "resources": ["shop/virtualmachinegroup-tier.yaml", "shop/virtualmachineservice-front.yaml"],
    }
    assert text.startswith(
        f"# Exported from capture gold of 20260302T120000Z: memory://plugins/vmservice/vadp/{GOLD}/*\n"
    )
    assert "# Apply this only once every VM that it names is registered" in text
    assert "note: Apply this only once every VM that it names is registered" in ran.err
    group = yaml.safe_load((tmp_path / "shop/virtualmachinegroup-tier.yaml").read_text())
    assert group["metadata"] == {"name": "tier", "namespace": "shop"}
    assert "status" not in group


@pytest.mark.usefixtures("world")
def test_standard_output_has_one_document_for_each_object_mapped(command: CommandLine) -> None:
    ran = command("captures", "export", "gold", "-", "--namespace-mapping", "shop:test")
    documents = list(yaml.safe_load_all(ran.out))
    assert (ran.code, [(each["kind"], each["metadata"]["namespace"]) for each in documents]) == (
        0,
        [("VirtualMachineGroup", "test"), ("VirtualMachineService", "test")],
    )


@pytest.mark.usefixtures("world")
def test_nothing_is_overwritten_unless_forced(command: CommandLine, tmp_path: Path) -> None:
    kept = tmp_path / "kustomization.yaml"
    kept.write_text("mine")
    ran = command("captures", "export", "gold", str(tmp_path))
    assert (ran.code, ran.out) == (2, "")
    assert f"{tmp_path} has kustomization.yaml already" in ran.err
    assert [kept.read_text(), *tmp_path.iterdir()] == ["mine", kept]
    assert command("captures", "export", "gold", str(tmp_path), "--force").code == 0
    assert kept.read_text() != "mine"


def test_a_damaged_capture_is_not_exported(world: World, command: CommandLine, tmp_path: Path) -> None:
    world.store.tamper(f"vadp/{GOLD}/objects/virtualmachineservices/shop/front.json", b"{}")
    ran = command("captures", "export", "gold", str(tmp_path))
    assert (ran.code, list(tmp_path.iterdir())) == (1, [])
    assert "the stored bytes do not match their digest" in ran.err


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("gold",), 2, "Missing argument 'DIR|-'"),
        (("gold", "-", "--namespace-mapping", "mail:test"), 2, "the capture holds no object of namespace mail"),
        (("silver", "-"), 1, "no bucket has a capture named silver"),
    ],
    ids=["no directory", "mapping", "unknown"],
)
def test_misuse_is_refused(command: CommandLine, arguments: tuple[str, ...], code: int, error: str) -> None:
    ran = command("captures", "export", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert error in ran.err
