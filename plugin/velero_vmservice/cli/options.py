"""Options that several commands share, read into plain values."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import durationpy

from velero_vmservice.cli.access import NamespaceOption, live
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.table import Form, Output
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.kube.manifest import compact_time
from velero_vmservice.restore import policy
from velero_vmservice.restore.policy import RestorePolicy
from velero_vmservice.vmoperator.marks import PLUGIN_NAME
from velero_vmservice.vsphere.network_override import read_override, spell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.decorators import FC

    from velero_vmservice.kube.manifest import Kind

Result = TypeVar("Result")
_REGISTRATION: Final = f"{PLUGIN_NAME}/registration"
_NETWORK_OVERRIDE: Final = f"{PLUGIN_NAME}/network-override"


class OnceOption(click.Option):
    """An option that says what a command is about: given twice it is refused, where click would take the last."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser collect what is given; everywhere else the option has one value."""
        self.multiple = True
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.multiple = False

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the only value and where it is from."""
        value, source = super().consume_value(ctx, opts)
        if not isinstance(value, list):
            return value, source
        if len(value) > 1:
            raise click.BadParameter("it is given more than once: name one", ctx, self)
        return value[0], source


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


def examples(*commands: str) -> str:
    """Return the epilog of a command's help: examples, each on a line of its own, to be copied."""
    return "\n".join(("\b", "Examples:", *(f"  {terminal.PROGRAM} {command}" for command in commands)))


timeout = click.option(
    "--timeout",
    type=Duration(),
    metavar="DURATION",
    help="Stop waiting after this time, e.g. 90s, 10m or 12h, and exit with 4; without it there is no limit.",
)


def namespaces_option(help_text: str) -> Callable[[FC], FC]:
    """Return the repeatable option `-n`, which a command gets as the argument `namespaces`."""
    return click.option(
        "-n", "--namespace", "namespaces", cls=NamespaceOption, multiple=True, metavar="NS", help=help_text
    )


def object_option(flag: str, kind: Kind, help_text: str) -> Callable[[FC], FC]:
    """Return an option that names one live object of a kind, and is given once."""
    return click.option(flag, cls=OnceOption, metavar=kind.name.upper(), shell_complete=live(kind), help=help_text)


def read_time(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Return a time as keys of the bucket spell it, '' for none."""
    if text and not (compact := compact_time(text)):
        raise click.BadParameter(f'"{text}" is no time like 2026-11-24T11:42:40Z or 20261124T114240Z')
    return compact if text else ""


namespace_mapping = click.option(
    "--namespace-mapping",
    "mapping",
    multiple=True,
    metavar="FROM:TO",
    callback=pairs(":"),
    help="Restore the objects of namespace FROM into TO; repeatable.",
)


def _policies(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Complete a policy with each of its values, or with its key where any value will do."""
    return [choice for choice in policy.choices() if choice.startswith(typed)]


policy_option = click.option(
    "--policy",
    "policy",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_annotations,
    shell_complete=_policies,
    help="Override a policy of the settings, e.g. power=on; repeatable.",
)


def network_override_option(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the option `--network-override`, which it gets as an annotation that a Restore would carry."""
    return click.option(
        "--network-override",
        "network_override",
        multiple=True,
        metavar="OLD=NEW",
        callback=_override,
        help="Have RegisterVM move interfaces from OLD to NEW; repeatable. Each is subnet/NAME or subnetset/NAME; a"
        " NAME alone is a subnet, and subnetset/ the default SubnetSet. VCF 9.0 and later with NSX-VPC.",
    )(command)


def restore_policies(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the options that choose how a restore is made, which it gets as the argument `policy`."""

    @policy_option
    @click.option(
        "--register/--no-register",
        default=None,
        help="Call RegisterVM for restored VMs, or do not, whatever registration.mode is; needs a vCenter.",
    )
    @network_override_option
    @functools.wraps(command)
    def called(
        *, policy: Mapping[str, str], register: bool | None, network_override: Mapping[str, str], **others: Any
    ) -> Result:
        chosen = {} if register is None else {_REGISTRATION: "trigger" if register else "observe"}
        return command(policy={**policy, **chosen, **network_override}, **others)

    return called


from_cluster = click.option(
    "--from-cluster",
    default="",
    metavar="ID|any",
    help="Captures of the cluster with this id, as `captures list -o wide` shows it; of this cluster alone without it.",
)


def as_options(policy: Mapping[str, str]) -> tuple[str, ...]:
    """Return the options that ask for the same policy again."""
    prefix = f"{PLUGIN_NAME}/"
    return tuple(f"--policy={key.removeprefix(prefix)}={value}" for key, value in policy.items())


def _override(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Return the mappings as the annotation that a Restore would carry; raises `WrongUsage` for a wrong one."""
    if not texts:
        return {}
    try:
        return {_NETWORK_OVERRIDE: spell(read_override(",".join(texts)))}
    except ValueError as error:
        raise WrongUsage(f"--network-override {error}") from None


def by_default(command: str) -> type[click.Group]:
    """Return the class of a group that takes `GROUP NAME` for `GROUP COMMAND NAME`; a name that is a command does not.

    Without arguments the group shows its help.
    """

    class ByDefault(click.Group):
        """Puts the command in where none is named."""

        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            if args and args[0] not in {*self.commands, *ctx.help_option_names}:
                args = [command, *args]
            return super().parse_args(ctx, args)

    return ByDefault


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
        help="Output format; wide has more columns, name prints one name per line.",
    )
    @click.option("--no-headers", is_flag=True, help="Print only the rows, without headers and the lines around them.")
    @functools.wraps(command)
    def called(*, form: str, no_headers: bool, **others: Any) -> Result:
        return command(output=Output(Form(form), headers=not no_headers), **others)

    return called
