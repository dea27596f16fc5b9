"""Options that several commands share, read into plain values."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

import click
import durationpy

from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.views.table import Form, Output
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.restore import policy
from velero_vmservice.restore.policy import RestorePolicy
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

Result = TypeVar("Result")


def pairs(separator: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, str]]:
    """Return a callback that reads repeated options of the form KEY, separator, VALUE into a dictionary."""

    def read(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
        read_pairs = {}
        for text in texts:
            key, separator_found, value = text.partition(separator)
            if not (key and separator_found and value):
                raise click.BadParameter(f'"{text}" is not of the form a{separator}b')
            read_pairs[key] = value
        return read_pairs

    return read


def _annotations(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Return policy options as the annotations that a Restore would carry; raises `WrongUsage` for a wrong one."""
    policies = pairs("=")(context, parameter, texts)
    try:
        policy.overridden(RestorePolicy(), policies, where="--policy {}".format)
    except InvalidSettings as error:
        raise WrongUsage(error.message, hint=error.hint) from None
    return {f"{PLUGIN_NAME}/{key}": value for key, value in policies.items()}


class Duration(click.ParamType[float]):
    """A duration as Go writes it, as in the settings; read into seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            seconds = durationpy.from_str(str(value)).total_seconds()
        except durationpy.DurationError:
            seconds = 0.0
        if seconds <= 0:
            self.fail(f'"{value}" is not a duration such as 90s, 10m or 12h', param, ctx)
        return float(seconds)


timeout = click.option(
    "--timeout",
    type=Duration(),
    metavar="DURATION",
    help="Stop waiting after this time, e.g. 90s, 10m or 12h, and exit with 4; without it there is no limit.",
)

namespace_mapping = click.option(
    "--namespace-mapping",
    "mapping",
    multiple=True,
    metavar="FROM:TO",
    callback=pairs(":"),
    help="Restore the objects of namespace FROM into TO; repeatable.",
)

policy_option = click.option(
    "--policy",
    "policy",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_annotations,
    help="Override a policy of the settings, e.g. power=on; repeatable.",
)


def output(*forms: str) -> Callable[[FC], FC]:
    """Return the option that chooses among forms of output, the first by default."""
    return click.option("-o", "--output", "form", type=click.Choice(forms), default=forms[0], show_default=True)


class _TableForm(click.Choice[str]):
    """The forms of a table; `text`, as the form of a list was once called, is the table."""

    def __init__(self, *, page: bool) -> None:
        super().__init__([form.value for form in Form if page or form is not Form.HTML])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(Form.TABLE.value if value == "text" else value, param, ctx)


def table_output(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command that prints a table the options of its form, which it gets as the argument `output`."""
    return _table_output(command, page=False)


def table_or_page(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command that prints a table, or a page with `-o html`, the options of `table_output`."""
    return _table_output(command, page=True)


def _table_output(command: Callable[..., Result], *, page: bool) -> Callable[..., Result]:
    @click.option(
        "-o",
        "--output",
        "form",
        type=_TableForm(page=page),
        default=Form.TABLE.value,
        show_default=True,
        help="The form of the table; wide has more columns, name has one name a line.",
    )
    @click.option("--no-headers", is_flag=True, help="Print the rows alone, without headers and the lines around them.")
    @functools.wraps(command)
    def called(*, form: str, no_headers: bool, **others: Any) -> Result:
        return command(output=Output(Form(form), headers=not no_headers), **others)

    return called
