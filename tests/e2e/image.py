"""The image as `make image` builds it: its root file system, and what a container of it runs."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.build import OUTPUT, BuildError

if TYPE_CHECKING:
    from pathlib import Path

BUILT = OUTPUT.with_name("image")


@dataclass(frozen=True, kw_only=True)
class Image:
    """The built image."""

    rootfs: Path
    config: dict[str, Any]
    """As the image specification of the Open Container Initiative has it."""
    archive: Path
    components: Path
    """The list of what is in it, a CycloneDX document."""

    @property
    def entrypoint(self) -> list[str]:
        return self.config["Entrypoint"]

    @property
    def environment(self) -> dict[str, str]:
        return dict(variable.split("=", 1) for variable in self.config["Env"])

    @property
    def user(self) -> int:
        return int(self.config["User"].partition(":")[0])


def image() -> Image:
    """Return the built image, or say how to build it."""
    archive = BUILT / "image.tar"
    if not archive.exists():
        raise BuildError("the image is not built yet; run `make image`")
    with tarfile.open(archive) as layout:
        (index,) = _read(layout, "index.json")["manifests"]
        config = _read(layout, _blob(_read(layout, _blob(index))["config"]))["config"]
    return Image(rootfs=BUILT / "rootfs", config=config, archive=archive, components=BUILT / "sbom.cdx.json")


def _blob(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _read(layout: tarfile.TarFile, name: str) -> dict[str, Any]:
    file = layout.extractfile(name)
    assert file is not None
    return json.loads(file.read())
