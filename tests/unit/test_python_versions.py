"""One lowest and one highest Python, wherever they are named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def highest() -> str:
    return re.findall(r"^HIGHEST_PYTHON := (.+)$", text("Makefile"), re.MULTILINE)[0]


def lowest() -> str:
    return str(PROJECT["project"]["requires-python"]).removeprefix(">=")


def test_the_image_has_the_highest_python_that_is_tested() -> None:
    bases = re.findall(r"^ARG PYTHON=python:([0-9]+\.[0-9]+)\.[0-9]+-slim", text("Dockerfile"), re.MULTILINE)
    assert set(bases) == {highest()}


def test_types_and_style_are_those_of_the_lowest() -> None:
    assert PROJECT["tool"]["mypy"]["python_version"] == lowest()
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{lowest().replace('.', '')}"


def test_the_readme_names_both() -> None:
    assert f"With Python {lowest()} or later" in text("README.md")
    assert f"| Python | {lowest()} in all tests; {highest()}, the image's, in `make test-highest`" in text("README.md")


def test_the_classifiers_reach_from_one_to_the_other() -> None:
    named = re.findall(r"Python :: (3\.[0-9]+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert (named[0], named[-1]) == (lowest(), highest())


def test_the_workflow_runs_what_the_script_runs_on_the_lowest_and_the_highest() -> None:
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    versions = {step["with"]["python-version"] for step in steps if "python-version" in step.get("with", {})}
    assert {version for given in versions for version in given.split()} == {lowest(), highest()}
    script = re.findall(r"\bmake [a-z0-9-]+", re.sub(r"#.*", "", text(".ci/run")))
    assert {step["run"] for step in steps if "run" in step} == set(script)
