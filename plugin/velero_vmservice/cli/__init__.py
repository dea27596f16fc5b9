"""The command `velero-vmservice`: one module per command, errors as sentences, exit codes as documented."""

from __future__ import annotations

import sys
from typing import Final

import click
import structlog

from velero_vmservice import __version__, logs
from velero_vmservice.cli import access
from velero_vmservice.cli.about import completion, version
from velero_vmservice.cli.captures.commands import captures
from velero_vmservice.cli.captures.coverage import coverage
from velero_vmservice.cli.captures.match import match
from velero_vmservice.cli.doctor import doctor
from velero_vmservice.cli.drill.commands import drill
from velero_vmservice.cli.exit_codes import ExitCode, of_error
from velero_vmservice.cli.in_velero.install import install, install_launcher_command
from velero_vmservice.cli.in_velero.serve import serve
from velero_vmservice.cli.plan import plan
from velero_vmservice.cli.preflight.command import preflight
from velero_vmservice.cli.prune import prune
from velero_vmservice.cli.registration.commands import registration
from velero_vmservice.cli.report import report
from velero_vmservice.cli.restore import restore
from velero_vmservice.cli.vadp.capture import capture
from velero_vmservice.cli.vadp.saved_vm import extraconfig, validate_vmx
from velero_vmservice.cli.verify import verify
from velero_vmservice.cli.views import standard_streams, terminal
from velero_vmservice.errors import VmServiceError

log = structlog.get_logger()

_LEVELS: Final = ("critical", "info", "debug")
"""The log level by the number of -v: a person reads sentences, and asks for the log where those are not enough."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", count=True, help="Print the log as JSON lines on standard error; -vv for all of it.")
@click.version_option(__version__, package_name="velero-plugin-for-vmservice")
def commands(*, verbose: int) -> None:
    """Back up and restore the application around vSphere VM Service VMs.

    Exit codes: 0 done; 1 no answer, as a setting, right, object or server is missing; 2 usage; 3 not restorable or
    blocked; 4 not ready or timed out; 5 failed; 130 stopped; 141 output no longer read.
    """
    logs.configure(_LEVELS[min(verbose, len(_LEVELS) - 1)])


commands.add_command(serve)
commands.add_command(install)
commands.add_command(install_launcher_command)
commands.add_command(capture)
commands.add_command(preflight)
commands.add_command(validate_vmx)
commands.add_command(extraconfig)
commands.add_command(coverage)
commands.add_command(match)
commands.add_command(plan)
commands.add_command(restore)
commands.add_command(verify)
commands.add_command(report)
commands.add_command(captures)
commands.add_command(prune)
commands.add_command(drill)
commands.add_command(doctor)
commands.add_command(registration)
commands.add_command(version)
commands.add_command(completion)
access.accept_everywhere(commands)


def main() -> None:
    """Run a command; each of its ends is an exit code of `ExitCode` and at most two lines of text."""
    with standard_streams.lossy():
        try:
            code = _run()
        except SystemExit as ended:
            code = int(ended.code or ExitCode.DONE)
        if why := standard_streams.problem():
            done = "" if code else "the command has run to its end: what it stores or changes is done"
            terminal.complain(f"the output could not be written: {why}", done)
            code = code or ExitCode.NO_ANSWER
    sys.exit(code)


def _run() -> int:
    try:
        return int(commands.main(prog_name=terminal.PROGRAM, standalone_mode=False) or ExitCode.DONE)
    except VmServiceError as error:
        code = of_error(error)
        terminal.complain(error.message, error.hint or (_help() if code is ExitCode.USAGE else ""))
        return code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.message, err=True)  # the help itself, many lines
        return ExitCode.USAGE
    except click.UsageError as error:
        terminal.complain(error.format_message(), f"{error.ctx.command_path} --help" if error.ctx else _help())
        return ExitCode.USAGE
    except click.ClickException as error:
        terminal.complain(error.format_message())
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        terminal.complain("stopped before the end", f"repeat the command to go on: {terminal.invocation()}")
        return ExitCode.INTERRUPTED
    except Exception as error:  # the edge: a traceback tells a user nothing
        log.exception("internal error")
        terminal.complain(
            f"internal error ({type(error).__name__})",
            "repeat it as velero-vmservice -v …, and report what it prints",
        )
        return ExitCode.NO_ANSWER


def _help() -> str:
    """Return the command that shows the help of the one that was typed, whose context is gone."""
    command: click.Command = commands
    path = [terminal.PROGRAM]
    for argument in sys.argv[1:]:
        if isinstance(command, click.Group) and argument in command.commands:
            command = command.commands[argument]
            path.append(argument)
    return " ".join((*path, "--help"))


__all__ = ["commands", "main"]
