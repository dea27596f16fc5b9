"""What people and Velero name: settings, policies, commands with their options, actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from velero_vmservice.cli import commands
from velero_vmservice.settings.reading import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.golden.conftest import Golden
    from tests.golden.story import Story
    from tests.unit.builders import Json

FOR_PEOPLE = ("title", "description", "examples", "help", "short_help", "epilog")
CLASSES = ("param_type",)


def test_settings(golden: Golden) -> None:
    schema = Settings.model_json_schema()
    golden("settings", {"settings": dict(keys(schema, schema["$defs"]))})


def test_policies(golden: Golden) -> None:
    golden("policies", {"policies": Settings().restore.printed()})


def test_commands(golden: Golden) -> None:
    # A context made by hand has other names for --help than the command's own, and click keeps those it saw first.
    tree = commands.to_info_dict(click.Context(commands, help_option_names=["-h", "--help"]))
    golden("commands", {"commands": without_help(without_repeated(tree))})


def test_actions(story: Story, golden: Golden) -> None:
    table = story.world.app.actions
    listed = [
        {"kind": plugin.kind, "name": plugin.name, "applies_to": _selector(table, plugin.kind, plugin.name)}
        for plugin in table.listed("velero-plugin-for-vmservice")
    ]
    golden("actions", {"actions": listed})


def keys(schema: Json, sections: Json, above: str = "") -> Iterator[tuple[str, Json]]:
    """Yield every key with its type, default and bounds; titles, descriptions and examples are for people."""
    for name, given in schema["properties"].items():
        kept = {field: value for field, value in given.items() if field not in FOR_PEOPLE}
        yield f"{above}{name}", {**without_references(kept), "required": name in schema.get("required", ())}
        for choice in given.get("anyOf", [given]):
            entries = choice.get("items", {})
            for holder, mark in ((choice, "."), (entries, "[].")):
                if "$ref" in holder:
                    yield from keys(sections[holder["$ref"].rpartition("/")[2]], sections, f"{above}{name}{mark}")


def without_references(given: Any) -> Any:
    """Return a schema without the names of classes, whose keys are listed after it."""
    if isinstance(given, dict):
        return {name: "section" if name == "$ref" else without_references(value) for name, value in given.items()}
    return [without_references(value) for value in given] if isinstance(given, list) else given


def without_repeated(command: Json) -> Json:
    """Return a group without what its commands accept because every command does: that stands in the root alone."""
    below = {name: without_repeated(each) for name, each in command.get("commands", {}).items()}
    for each in below.values():
        each["params"] = [option for option in each["params"] if not (option.get("hidden") and is_repeated(option))]
    return {**command, "commands": below} if below else command


def is_repeated(option: Json) -> bool:
    return option["opts"][-1] in {"--kubeconfig", "--context", "--settings", "--velero-namespace", "--namespace"}


def without_help(given: Any) -> Any:
    """Return commands and options without help texts and without names of classes, which are no interface."""
    if isinstance(given, dict):
        return {name: without_help(value) for name, value in given.items() if name not in (*FOR_PEOPLE, *CLASSES)}
    if isinstance(given, list | tuple):
        return [without_help(value) for value in given]
    return given


def _selector(table: Any, kind: str, name: str) -> Any:
    actions = {"Backup": table.backup, "Restore": table.restore, "Delete": table.delete}
    group = next(group for start, group in actions.items() if kind.startswith(start))
    selector = group[name.rpartition("/")[2]].applies_to()
    return {field: getattr(selector, field) for field in type(selector).__dataclass_fields__}
