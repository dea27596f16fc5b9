"""Explain what is wrong with a registration: cause, remedy, and the checks with the names filled in.

Names that are not given stay placeholders; names that are given are quoted for the shell, since they may come from a
backup.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from velero_vmservice.registration.model import State
from velero_vmservice.registration.troubleshooting import FOR_CODE, FOR_UNKNOWN, TOPICS, Advice, Topic
from velero_vmservice.text import one_line
from velero_vmservice.vsphere.registervm_errors import ErrorEntry, explain
from velero_vmservice.vsphere.wcp import TaskStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.registration.checks import Check
    from velero_vmservice.registration.model import Registration

_PLACEHOLDERS: Final = {"ns": "<namespace>", "vm": "<vm>", "moid": "<moid>"}


def advise(subject: str, *, namespace: str = "", vm: str = "", moid: str = "") -> tuple[str, ...]:
    """Return the lines that explain a topic, or an error code or message; what is unknown is shown as it came."""
    names = {"ns": one_line(namespace), "vm": one_line(vm), "moid": one_line(moid)}
    filled = {key: shlex.quote(name) if name else _PLACEHOLDERS[key] for key, name in names.items()}
    filled["ps_vm"] = _powershell(names["vm"]) if vm else _PLACEHOLDERS["vm"]
    filled["ps_machine"] = _in_powershell(names, filled["ps_vm"])
    if advice := _topic(subject):
        return (f"{advice.title} ({advice.source})", *_checks(advice.checks, filled))
    entry = explain(subject)
    checks = FOR_CODE.get(entry.code, ()) if entry.known or not entry.code else FOR_UNKNOWN
    return (*_entry(entry), *_checks(checks, filled))


def _topic(subject: str) -> Advice | None:
    """Return the topic that the subject names, by its own name or by another common word for it."""
    word = re.sub(r"[\s_%-]+", "-", subject.lower()).strip("-")
    return next((advice for name, advice in TOPICS.items() if word == name or word in advice.also), None)


def topic(registration: Registration) -> str:
    """Return what `registration explain` can be asked about a VM in its state: RegisterVM's code, a topic, or ''."""
    entry = explain(registration.code)
    if entry.known:
        return entry.code
    match registration.state:
        case State.RESTORED:
            return Topic.NOT_TRIGGERED
        case State.REGISTERING if registration.at is TaskStage.VOLUMES:
            return Topic.STUCK
        case State.PAUSED:
            return Topic.POWER_ON
        case _:
            return ""


def _entry(entry: ErrorEntry) -> Iterator[str]:
    if not entry.known:
        yield entry.code or "nothing was asked"
        yield f"not a known RegisterVM error code; give a known code or one of these topics: {', '.join(Topic)}"
        if entry.code:
            yield f"remedy: {entry.remedy}, fix what it names, then call RegisterVM again"
        return
    yield f"{entry.code} ({entry.source})"
    yield f"cause: {entry.cause}"
    yield f"remedy: {entry.remedy}"
    yield "waiting can help" if entry.can_wait else "waiting does not help: RegisterVM is not called again by itself"


def _checks(checks: tuple[Check, ...], filled: Mapping[str, str]) -> Iterator[str]:
    for number, check in enumerate(checks, start=1):
        yield ""
        yield f"{number}. {check.text.format_map(filled)}"
        yield from (f"   {command.format_map(filled)}" for command in check.commands)


def _in_powershell(names: Mapping[str, str], quoted_name: str) -> str:
    """Return the command that gets the one VM: every folder may have another of its name."""
    if moid := names["moid"]:
        return f"Get-VM -Id {_powershell(f'VirtualMachine-{moid}')}"
    folder = _powershell(names["ns"]) if names["ns"] else _PLACEHOLDERS["ns"]
    return f"Get-Folder -Name {folder} -Type VM | Get-VM -Name {quoted_name}"


def _powershell(name: str) -> str:
    """Quote a name for PowerShell, whose single quotes are doubled inside a string; curly ones count as quotes too."""
    for quote in "'\u2018\u2019\u201a\u201b":
        name = name.replace(quote, quote * 2)
    return f"'{name}'"
