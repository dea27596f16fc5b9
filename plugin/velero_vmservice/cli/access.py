"""Which cluster and which settings a command is about: options that each command takes, before and after its name.

As with kubectl: the last one counts, and `--context` comes before the current context of the kubeconfig.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from velero_vmservice import app, configured
from velero_vmservice.adapters.in_time import in_time
from velero_vmservice.adapters.kubernetes import live_names
from velero_vmservice.adapters.kubernetes.kubeconfig import contexts, namespace_of_context
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.views import terminal
from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import NAMESPACE
from velero_vmservice.settings.access import NAMESPACE_OPTION, Access, LoginChoice
from velero_vmservice.settings.reading import FILE_OPTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from velero_vmservice.app import App
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.settings.reading import Settings

_KEPT: Final = "velero_vmservice.cli.access"
"""In `Context.meta`, which a command shares with the groups that it is in."""
_SEE_ALSO: Final = "Options of every command (cluster, context, settings): velero-vmservice --help"
_KUBECONFIG: Final = "kubeconfig"
_CONTEXT: Final = "context"
_SETTINGS: Final = "settings"
_VELERO_NAMESPACE: Final = "velero_namespace"
_NAMESPACE: Final = "namespace"


def current(context: click.Context | None = None) -> Access:
    """Return what the user of the running command chose."""
    context = context or click.get_current_context(silent=True)
    chosen = _kept(context) if context else {}
    return Access(
        login=LoginChoice(kubeconfig=chosen.get(_KUBECONFIG, ""), context=chosen.get(_CONTEXT, "")),
        settings_file=chosen.get(_SETTINGS, ""),
        velero_namespace=chosen.get(_VELERO_NAMESPACE, ""),
    )


def connect() -> tuple[Settings, App]:
    """Return the settings and the plugin that the running command works with; raises as `configured.load`."""
    return connected(current())


def connected(chosen: Access) -> tuple[Settings, App]:
    """Return the settings and the plugin for a choice; raises as `configured.load`."""
    settings = configured.load(access=chosen)
    return settings, app.connect(settings, login=chosen.login)


def namespace_by_context() -> str:
    """Return the namespace of the kubeconfig's context, which a command takes that needs one and was given none.

    Raises `WrongUsage` where the context names none: unlike kubectl's, no command of ours falls back to `default`.
    """
    namespace = namespace_of_context(current().login)
    if not namespace:
        raise WrongUsage(
            "no namespace is named, and the kubeconfig's context has none",
            hint="name it with -n, or set the context's: kubectl config set-context --current --namespace NS",
        )
    terminal.remark(f"namespace {namespace}, of the kubeconfig's context")
    return namespace


def chosen_namespaces(named: tuple[str, ...], *, every: bool) -> tuple[str, ...]:
    """Return the namespaces of a command that has to be told: none where all are meant, else those of `-n` or context.

    Raises `WrongUsage` where both are asked for, or no namespace is known.
    """
    if named and every:
        raise WrongUsage("name namespaces with -n, or ask for --all-namespaces")
    return () if every else named or (namespace_by_context(),)


def live(kind: Kind) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes the name of an object in Velero's namespace; it is silent where no cluster answers."""

    def complete(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        chosen = current(context)
        listed = in_time(lambda: live_names.names(kind, chosen.velero_namespace, chosen.login))
        return [name for name in listed if name.startswith(typed)]

    return complete


class NamespaceOption(click.Option):
    """`-n` of a command that looks at it, which may stand before the command's name as well."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the namespaces of the cluster."""
        chosen = current(ctx)
        listed = in_time(lambda: live_names.names(NAMESPACE, "", chosen.login))
        return [CompletionItem(name) for name in listed if name.startswith(incomplete)]

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the names; an empty one would mean all namespaces to the API server, and is refused."""
        names = super().type_cast_value(ctx, value)
        given = ctx.get_parameter_source(str(self.name)) is ParameterSource.COMMANDLINE
        if given and (names == "" or (self.multiple and "" in names)):
            raise click.BadParameter("it is empty", ctx, self)
        return names

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:  # noqa: FBT001, FBT002 - click's signature
        """Return the namespace that stands before the command's name, else the default."""
        if given := _kept(ctx).get(_NAMESPACE):
            return (given,) if self.multiple else given
        return super().get_default(ctx, call)


def accept_everywhere(root: click.Group) -> None:
    """Give each command the options; those of a command itself are shown in the help of the root alone."""
    root.params.extend(_options(hidden=False))
    for command in _below(root):
        command.epilog = "\n\n".join(filter(None, (command.epilog, _SEE_ALSO)))
        command.params.extend(_options(hidden=True, namespace=isinstance(command, click.Group)))
        if not isinstance(command, click.Group) and not any(is_namespace(option) for option in command.params):
            command.params.append(_NoNamespace())


def is_namespace(option: click.Parameter) -> bool:
    """Say whether it is the option of a namespace."""
    return "--namespace" in option.opts


def _below(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from _below(command)


def _options(*, hidden: bool, namespace: bool = True) -> list[click.Parameter]:
    options: list[click.Parameter] = [
        _Everywhere(
            ["--kubeconfig"], metavar="FILE", hidden=hidden, help="Kubeconfig; comes before the variable KUBECONFIG."
        ),
        _Everywhere(
            ["--context"],
            metavar="NAME",
            hidden=hidden,
            shell_complete=_contexts,
            help="Context of the kubeconfig instead of the current one.",
        ),
        _Everywhere(
            [FILE_OPTION],
            metavar="FILE",
            hidden=hidden,
            help="File of the plugin's settings; comes before the variable VMSERVICE_SETTINGS.",
        ),
        _Everywhere(
            [NAMESPACE_OPTION], metavar="NAME", hidden=hidden, help="Velero's namespace; by default it is found."
        ),
    ]
    if namespace:
        options.append(
            _Everywhere(
                ["-n", "--namespace"], metavar="NAME", hidden=hidden, help="Namespace, for commands that take one."
            )
        )
    return options


class _Everywhere(click.Option):
    """An option whose value is kept for whichever command runs."""

    def __init__(self, names: list[str], **settings: Any) -> None:
        super().__init__(names, expose_value=False, callback=_keep, **settings)


class _NoNamespace(click.Option):
    """Refuses a namespace, wherever it stands, for a command that would not look at it."""

    def __init__(self) -> None:
        super().__init__(["-n", "--namespace"], hidden=True, expose_value=False, callback=_refuse)


def _contexts(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    try:
        listed = contexts(current(context).login)
    except VmServiceError:
        return []
    return [name for name in listed if name.startswith(typed)]


def _keep(context: click.Context, parameter: click.Parameter, given: str | None) -> None:
    if given is None:
        return
    if not given:
        raise click.BadParameter("it is empty", context, parameter)
    _kept(context)[str(parameter.name)] = given


def _refuse(context: click.Context, _parameter: click.Parameter, given: str | None) -> None:
    if given is not None or _NAMESPACE in _kept(context):
        raise click.UsageError(f"{context.info_name} takes no namespace", context)


def _kept(context: click.Context) -> dict[str, str]:
    kept: dict[str, str] = context.meta.setdefault(_KEPT, {})
    return kept
