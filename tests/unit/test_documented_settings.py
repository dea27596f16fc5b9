"""Every block of settings in the documents is one that the plugin accepts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.fakes.cluster import MemoryCluster
from tests.tools.markdown import documents
from tests.unit.builders import obj, vsphere_namespace
from velero_vmservice import configured
from velero_vmservice.adapters.velero.installation import LABELS
from velero_vmservice.settings.reading import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "settings.yaml"
HERE_DOCUMENT = re.compile(rf"cat > {KEY} <<'EOF'\n(.*?)^EOF$", re.DOTALL | re.MULTILINE)
SECRET_KEY = re.compile(r"secret:([\w.-]+)/([\w.-]+)")


def blocks() -> Iterator[tuple[str, str]]:
    """Yield the name of the document and the text of the settings, for each block that has some."""
    for document in documents():
        for token in document.tokens:
            if token.type == "fence" and (text := settings_in(token.content)):
                yield document.name, text


def settings_in(block: str) -> str:
    """Return the settings of a ConfigMap, of the chart's values or of a file; '' where a block is none of them."""
    if file := HERE_DOCUMENT.search(block):
        return file[1]
    try:
        parsed = yaml.safe_load(block)
    except yaml.YAMLError:
        return ""
    if not isinstance(parsed, dict):
        return ""
    if parsed.get("kind") == "ConfigMap":
        return str(parsed["data"].get(KEY, ""))
    if isinstance(parsed.get("settings"), dict):
        return yaml.safe_dump(parsed["settings"])
    return block if parsed.keys() & Settings.model_fields.keys() else ""


def config_map(text: str) -> dict[str, Any]:
    labels = {"labels": LABELS}
    return obj("ConfigMap", "settings", api="v1", namespace="velero", meta=labels, data={KEY: text})


def secrets_that_it_names(text: str) -> Iterator[dict[str, Any]]:
    data: dict[str, dict[str, str]] = {}
    for name, key in SECRET_KEY.findall(text):
        data.setdefault(name, {})[key] = "c2VjcmV0"
    for name, keys in data.items():
        yield obj("Secret", name, api="v1", namespace="velero", data=keys)


@pytest.mark.parametrize(("document", "text"), list(blocks()))
def test_the_plugin_accepts_each_block_of_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: str, text: str
) -> None:
    assert document
    monkeypatch.setenv("VMSERVICE_VELERO_NAMESPACE", "velero")
    cluster = MemoryCluster(namespaces=["velero"])
    cluster.seed(vsphere_namespace())
    if "_file: /" in text:  # a path: only the file of a pod may have one
        file = tmp_path / KEY
        file.write_text(text, encoding="utf-8")
        monkeypatch.setenv("VMSERVICE_SETTINGS", str(file))
    else:
        cluster.seed(config_map(text), *secrets_that_it_names(text))

    settings = configured.load(cluster)

    assert settings.model_fields_set - {"velero_namespace"} == set(yaml.safe_load(text))


def test_the_pages_that_show_settings_are_read() -> None:
    pages = {document for document, _ in blocks()}
    assert pages >= {"docs/configuration.md", "docs/install.md", "docs/registration.md"}
