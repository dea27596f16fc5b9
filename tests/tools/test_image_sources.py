"""What the image is built from: every source is pinned, and what is said of the image is true of the project."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

from tests.rpc.runtimes import tool
from tests.tools.markdown import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILD = (ROOT / "plugin" / "bundle" / "build.txt").read_text()


def test_the_base_is_pinned_by_digest_and_of_the_highest_python_tested() -> None:
    (highest,) = re.findall(r"^HIGHEST_PYTHON := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (base,) = re.findall(r"^ARG PYTHON=(.*)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(rf"python:{re.escape(highest)}\.\d+-slim-\w+@sha256:[0-9a-f]{{64}}", base)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON}", "scratch"]


def test_what_builds_the_image_is_pinned_with_hashes() -> None:
    requirements = [line for line in BUILD.replace("\\\n", "").splitlines() if line and not line.startswith("#")]
    names = {
        re.fullmatch(r"([a-z0-9-]+)==\S+(?: +--hash=sha256:[0-9a-f]{64}){2}", line.strip())[1] for line in requirements
    }  # type: ignore[index]
    assert names >= {"uv", PROJECT["build-system"]["build-backend"].partition(".")[0]}
    assert re.findall(r"pip install (.*)", DOCKERFILE)[0].endswith(
        "--require-hashes --requirement plugin/bundle/build.txt"
    )


def test_nothing_is_built_in_an_environment_of_its_own() -> None:
    commands = DOCKERFILE.replace("\\\n", " ")
    installs = re.findall(r"uv (sync .*?|pip install .*?)(?: && |$)", commands, re.MULTILINE)
    assert len(installs) == 3
    assert [command for command in installs if "--no-build" not in command and "--no-index" not in command] == []


def test_the_label_of_the_version_is_the_projects() -> None:
    assert f'org.opencontainers.image.version="{PROJECT["project"]["version"]}"' in DOCKERFILE


def test_a_release_attaches_the_components_and_the_provenance() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    (build,) = [step["with"] for step in workflow["jobs"]["image"]["steps"] if "build-push" in step.get("uses", "")]
    assert (build["sbom"], build["provenance"]) == (True, "mode=max")
    assert build["platforms"].split(",") == ["linux/amd64", "linux/arm64"]


def test_components_are_what_is_installed_and_used_and_what_came_with_python() -> None:
    def part(name: str) -> dict[str, Any]:
        return {"bom-ref": f"{name}-1", "name": name}

    export = {
        "metadata": {"component": {"bom-ref": "plugin"}},
        "components": [part("boto3"), part("aiohttp"), part("colorama")],
        "dependencies": [
            {"ref": "plugin", "dependsOn": ["boto3-1", "aiohttp-1", "colorama-1"]},
            {"ref": "boto3-1"},
            {"ref": "aiohttp-1", "dependsOn": ["boto3-1"]},
        ],
    }
    added = [{"bom-ref": "pkg:generic/python@3.13.15", "name": "python"}]

    document = tool("sbom").described(export, installed={"boto3", "aiohttp"}, added=added)

    assert document["components"] == [part("boto3"), *added]
    assert document["dependencies"] == [
        {"ref": "plugin", "dependsOn": ["boto3-1"]},
        {"ref": "boto3-1", "dependsOn": []},
    ]
