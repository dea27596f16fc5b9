"""The scripts and manifests of docs/vadp, run and read as a VADP job, a cluster and systemd do."""

from __future__ import annotations

import os
import shlex
import subprocess
from configparser import ConfigParser
from typing import TYPE_CHECKING, Any, Final

import click
import pytest
import yaml

from tests.tools.markdown import ROOT
from tests.unit.cli.command_line import HELP
from velero_vmservice.cli import commands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SCRIPTS: Final = ROOT / "docs" / "vadp"
UNIT: Final = SCRIPTS / "velero-vmservice-capture.service"


@pytest.fixture(name="called")
def _called(tmp_path: Path) -> Path:
    """A command of our name that writes down its arguments, a line each call; PREFLIGHT and CAPTURE say how it ends."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "velero-vmservice"
    program.write_text(
        '#!/bin/sh\nfor argument in "$@"; do printf "%s|" "$argument"; done >>"$CALLED"; echo >>"$CALLED"\n'
        'case $1 in preflight) exit "${PREFLIGHT:-0}";; *) exit "${CAPTURE:-0}";; esac\n'
    )
    program.chmod(0o755)
    return tmp_path / "called"


def run(script: str, called: Path, *arguments: str, **environment: str) -> tuple[int, list[list[str]]]:
    """Run a script as a VADP job does; return its exit code, and the arguments of each command that it ran."""
    path = f"{called.parent / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", str(SCRIPTS / script), *arguments],
        env={"PATH": path, "CALLED": str(called), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = called.read_text().splitlines() if called.exists() else []
    return done.returncode, [line.split("|")[:-1] for line in lines]


def test_a_pre_job_script_looks_and_captures(called: Path) -> None:
    assert run("pre-job.sh", called, "Nightly Gold", "shop", "mail") == (
        0,
        [
            ["preflight", "-n", "shop", "-n", "mail"],
            ["capture", "-n", "shop", "-n", "mail", "--vadp-job", "Nightly Gold"],
        ],
    )


def test_what_could_not_be_restored_is_captured_all_the_same(called: Path) -> None:
    code, commands_run = run("pre-job.sh", called, "nightly", "shop", PREFLIGHT="3")
    assert (code, [command[0] for command in commands_run]) == (0, ["preflight", "capture"])


def test_a_strict_job_ends_before_anything_is_captured(called: Path) -> None:
    code, commands_run = run("pre-job.sh", called, "nightly", "shop", PREFLIGHT="3", STRICT="yes")
    assert (code, [command[0] for command in commands_run]) == (3, ["preflight"])


def test_a_strictness_that_is_neither_yes_nor_no_is_refused(called: Path) -> None:
    assert run("pre-job.sh", called, "nightly", "shop", STRICT="true") == (2, [])


def test_names_reach_the_command_as_they_are(called: Path) -> None:
    code, (_, capture) = run("pre-job.sh", called, "Nightly, Gold *", "shop mail")
    assert (code, capture) == (0, ["capture", "-n", "shop mail", "--vadp-job", "Nightly, Gold *"])


@pytest.mark.parametrize("script", ["pre-job.sh", "post-job.sh"])
def test_a_command_that_is_not_found_fails_the_job(called: Path, script: str) -> None:
    (called.parent / "bin" / "velero-vmservice").unlink()
    assert run(script, called, "nightly", "4711", "shop")[0] == 127


@pytest.mark.parametrize("script", ["pre-job.ps1", "post-job.ps1"])
def test_powershell_ends_with_no_exit_code_that_it_does_not_have(script: str) -> None:
    """`exit $null` is 0, and $LASTEXITCODE is $null where the command is not found; no PowerShell runs this test."""
    text = (SCRIPTS / script).read_text()
    lines = [line.strip() for line in text.splitlines()]
    assert "$ErrorActionPreference = 'Stop'" in lines
    assert [line for line in lines if "& velero-vmservice" in line] == [
        "try { & velero-vmservice @CommandLine } catch { [Console]::Error.WriteLine($_) }"
    ]
    reset, check = lines.index("$global:LASTEXITCODE = $null"), lines.index("if ($null -eq $LASTEXITCODE) {")
    assert reset < check < lines.index("exit 1")


@pytest.mark.parametrize("script", ["pre-job.ps1", "post-job.ps1"])
def test_powershell_splits_namespaces_that_come_as_one_text(script: str) -> None:
    text = (SCRIPTS / script).read_text()
    assert "$Namespace -split ','" in text
    assert "$arguments = @($names | ForEach-Object { '-n'; $_ })" in text


def test_the_list_of_the_job_is_compared_and_decides(called: Path) -> None:
    code, (_, capture) = run("pre-job.sh", called, "nightly", "shop", JOB_VMS="/srv/job vms.txt", CAPTURE="3")
    assert (code, capture[3:5]) == (3, ["--job-vms", "/srv/job vms.txt"])


def test_a_post_job_script_captures_under_the_restore_point(called: Path) -> None:
    assert run("post-job.sh", called, "nightly", "4711", "shop") == (
        0,
        [["capture", "-n", "shop", "--vadp-job", "nightly", "--restore-point", "4711"]],
    )


@pytest.mark.parametrize(
    ("script", "arguments"), [("pre-job.sh", ()), ("pre-job.sh", ("nightly",)), ("post-job.sh", ("nightly", "4711"))]
)
def test_a_script_without_its_arguments_runs_nothing(called: Path, script: str, arguments: Sequence[str]) -> None:
    assert run(script, called, *arguments) == (2, [])


def parsed(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Read the arguments of a command as the command line does; raises `click.UsageError` for wrong ones."""
    command = commands.commands[arguments[0]]
    return command.make_context(arguments[0], list(arguments[1:]), help_option_names=HELP).params


def test_the_arguments_of_the_cron_job_are_those_of_the_command() -> None:
    (job,) = [
        manifest
        for manifest in yaml.safe_load_all((SCRIPTS / "cronjob.yaml").read_text())
        if manifest["kind"] == "CronJob"
    ]
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert parsed(container["args"])["namespaces"] == ("shop", "mail")


def test_the_systemd_unit_runs_the_command() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    (example,) = [line for line in UNIT.read_text().splitlines() if "CAPTURE_ARGUMENTS=-" in line]
    program, *arguments = unit["Service"]["ExecStart"].split()
    assert (program, arguments[-1]) == ("/usr/local/bin/velero-vmservice", "$CAPTURE_ARGUMENTS")
    named = shlex.split(example.partition("CAPTURE_ARGUMENTS=")[2])
    assert parsed([*arguments[:-1], *named])["job"] == "nightly"


def test_wrong_arguments_are_refused_by_the_same_parser() -> None:
    with pytest.raises(click.UsageError):
        parsed(["capture", "--vadp-jobs", "nightly"])
