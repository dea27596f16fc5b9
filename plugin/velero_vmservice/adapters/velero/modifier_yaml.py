"""The text of a resource modifier's ConfigMap, read as Velero does (internal/resourcemodifiers, sigs.k8s.io/yaml)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.velero.resource_modifier import VERSION, JsonPatch, Rule

_HINT: Final = "correct the ConfigMap; Velero refuses a restore that begins with it as it is"


def _text(value: object) -> object:
    """Accept a number or a boolean as text in a text field, as sigs.k8s.io/yaml does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _rules(value: object) -> object:
    return [] if value is None else value


_Text = Annotated[str, BeforeValidator(_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Match(_Strict):
    path: _Text = ""
    value: _Text = ""


class _Conditions(_Strict):
    namespaces: list[_Text] = []
    group_resource: _Text = Field(alias="groupResource", min_length=1)
    name_pattern: _Text = Field(default="", alias="resourceNameRegex")
    selector: dict[str, Any] | None = Field(default=None, alias="labelSelector")
    matches: list[_Match] = []


class _Patch(_Strict):
    operation: _Text
    source: _Text = Field(default="", alias="from")
    path: _Text = Field(min_length=1)
    value: _Text = ""


class _Data(_Strict):
    data: _Text = Field(default="", alias="patchData")


class _Rule(_Strict):
    conditions: _Conditions
    patches: Annotated[list[_Patch], BeforeValidator(_rules)] = []
    merge_patches: Annotated[list[_Data], BeforeValidator(_rules)] = Field(default=[], alias="mergePatches")
    strategic: Annotated[list[_Data], BeforeValidator(_rules)] = Field(default=[], alias="strategicPatches")


class _Modifiers(_Strict):
    version: _Text
    rules: list[_Rule] = Field(alias="resourceModifierRules", min_length=1)


def read_rules(text: str, *, where: str) -> tuple[Rule, ...]:
    """Return the rules of a ConfigMap's one entry; raises `InvalidSettings`, naming `where`, if Velero refuses it."""
    try:
        modifiers = _Modifiers.model_validate(_yaml(text, where))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"])
        raise InvalidSettings(f"{where}: {at}: {first['msg'].lower()}", hint=_HINT) from None
    if modifiers.version.lower() != VERSION:
        raise InvalidSettings(f"{where}: version {modifiers.version} is not supported, only {VERSION}", hint=_HINT)
    return tuple(_rule(rule, where) for rule in modifiers.rules)


def _rule(rule: _Rule, where: str) -> Rule:
    conditions = rule.conditions
    return Rule(
        group_resource=conditions.group_resource,
        namespaces=tuple(conditions.namespaces),
        name_pattern=conditions.name_pattern,
        selector=conditions.selector or {},
        tests=tuple(JsonPatch(operation="test", path=match.path, value=match.value) for match in conditions.matches),
        patches=tuple(
            JsonPatch(operation=patch.operation, path=patch.path, source=patch.source, value=patch.value)
            for patch in rule.patches
        ),
        merge_patches=tuple(_yaml(patch.data, where) for patch in rule.merge_patches),
        strategic=bool(rule.strategic),
    )


def _yaml(text: str, where: str) -> object:
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InvalidSettings(f"{where}: it is not YAML", hint=_HINT) from None
    try:
        return json.loads(json.dumps(content, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise InvalidSettings(f"{where}: it holds a value that JSON does not have", hint=_HINT) from None


class _Loader(yaml.SafeLoader):
    """Reads dates and times as text, like sigs.k8s.io/yaml; Python's YAML would make other types."""

    def number(self, node: yaml.ScalarNode) -> object:
        """Return a number; `12:30` is text, not a number to the base of 60."""
        if ":" in node.value:
            return node.value
        return self.construct_yaml_int(node) if node.tag.endswith(":int") else self.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
