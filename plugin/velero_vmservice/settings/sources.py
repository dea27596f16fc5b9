"""Settings as written, with their places: each value of a YAML file with its line, each variable with its name.

Every plain value stays a text, and the settings decide on its type. So `on` is not a boolean where `on` is a documented
value, and a password of digits keeps its zeros. pydantic-settings is not used because it keeps
neither lines nor the names of variables. No message holds a value, which may be a secret.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import yaml

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.settings_faults import closest, did_you_mean, section_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path as File

    from pydantic import BaseModel

    from velero_vmservice.settings_faults import Path

PREFIX: Final = "VMSERVICE_"
NESTED: Final = "__"

_SERVICE_LINK: Final = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$"
)
"""Variables that Kubernetes sets in every container for a Service of the namespace, e.g. one named vmservice…"""

_MOST_NODES: Final = 100_000
_DEEPEST: Final = 20
"""Far beyond any real file; references to references could multiply without limit."""
_PLAIN_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "value")
)
_NULL: Final = "tag:yaml.org,2002:null"
_QUOTED: Final = "put a value with special characters into quotes, and a blank after each colon"
_JSON: Final = 'write a list as ["kubernetes", "vcenter"], and a section as {"name": "captures"}'
_MAPPING: Final = "write YAML there: a mapping of keys to values"


@dataclass(frozen=True, slots=True)
class Given:
    """Values as nested mappings, and the place of each."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)
    """`settings.yaml:3` or `VMSERVICE_BUCKET__NAME`, by the path of a value."""

    def over(self, below: Given) -> Given:
        """Return both; if both have a value, this one's counts."""
        return Given(_merged(self.values, below.values), {**below.places, **self.places})

    def place(self, path: Path) -> str:
        """Return the place of a value, or of its section, or of any value of that section; '' if there is none."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return next((place for written, place in self.places.items() if written[:1] == path[:1]), "")


def from_file(file: File, *, purpose: str = "settings file", unique: bool = True) -> Given:
    """Return the values of a YAML file; raises `InvalidSettings` with the line that cannot be read.

    Args:
        file: its path; a missing file has no values.
        purpose: its name in errors.
        unique: whether a repeated key in a section is an error; otherwise its last value counts.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return Given()
    except OSError as error:
        raise InvalidSettings(
            f"the {purpose} {file} cannot be read ({error.strerror})", hint="make it readable for the plugin's user"
        ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidSettings(f"{file}:{line}: the text is not UTF-8", hint=_MAPPING) from None
    return from_text(text, name=str(file), unique=unique)


def from_text(text: str, *, name: str, unique: bool = True) -> Given:
    """Return the values of a YAML text; raises `InvalidSettings` with the line of `name` that cannot be read."""
    written = _Written(name, text, unique=unique)
    root = written.root()
    if root is None or root.tag == _NULL:
        return Given()
    if not isinstance(root, yaml.MappingNode):
        raise InvalidSettings(f"{name}:{root.start_mark.line + 1}: the text is not a mapping", hint=_MAPPING)
    values = written.value(root, ())
    return Given(values, written.places)


def from_environment(environment: Mapping[str, str], model: type[BaseModel], *, besides: str) -> Given:
    """Return the settings among the variables; raises `InvalidSettings` for an unknown one that is not in `besides`."""
    known = _variables(model)
    _refuse_unknown(environment, {besides, *known})
    settings = Given()
    for name, text in sorted(environment.items()):
        if name.upper() not in known:
            continue
        path, structured = known[name.upper()]
        value = _structure(name, text) if structured else text
        if value is not None:
            nested: Any = value
            for part in reversed(path):
                nested = {part: nested}
            settings = Given(nested, {path: name}).over(settings)
    return settings


def _structure(name: str, text: str) -> Any:
    """Return a list or section written as JSON, or as YAML on one line."""
    written = _Written(name, text, is_file=False)
    root = written.root()
    return None if root is None else written.value(root, ())


def _variables(model: type[BaseModel]) -> dict[str, tuple[Path, bool]]:
    """Return each variable's path, and whether it holds a list or a section."""
    variables: dict[str, tuple[Path, bool]] = {}
    for name, setting in model.model_fields.items():
        variable = f"{PREFIX}{name}".upper()
        section = section_of(setting.annotation)
        variables[variable] = ((name,), section is not None or _is_list(setting.annotation))
        for key, part in section.model_fields.items() if section else ():
            structured = section_of(part.annotation) is not None or _is_list(part.annotation)
            variables[f"{variable}{NESTED}{key}".upper()] = ((name, key), structured)
    return variables


def _is_list(annotation: Any) -> bool:
    return any(get_origin(part) is tuple for part in (annotation, *get_args(annotation)))


def _refuse_unknown(environment: Iterable[str], known: Iterable[str]) -> None:
    names = sorted(known)
    unknown = [
        name
        for name in sorted(environment)
        if name.upper().startswith(PREFIX) and name.upper() not in names and not _SERVICE_LINK.search(name)
    ]
    if unknown:
        raise InvalidSettings(
            "; ".join(f"{name}: no setting has this variable{did_you_mean(closest(name, names))}" for name in unknown),
            hint=f"use one of: {', '.join(names)}",
        )


class _Written:
    """A YAML text during reading: values as written, and the place of each."""

    def __init__(self, name: str, text: str, *, is_file: bool = True, unique: bool = True) -> None:
        self.places: dict[Path, str] = {}
        self._name = name
        self._is_file = is_file
        self._unique = unique
        self._text = text
        self._nodes = 0

    def root(self) -> yaml.Node | None:
        """Return the document's node; None for an empty text."""
        with self._in_own_words():
            self._loader: Any = yaml.SafeLoader(self._text)
            return self._loader.get_single_node()

    @contextlib.contextmanager
    def _in_own_words(self) -> Iterator[None]:
        """Tell where the text cannot be read; the parser's own words quote what stands there."""
        try:
            yield
        except yaml.reader.ReaderError as error:
            raise self._broken("a character stands here that YAML does not allow", error.position) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._broken("the YAML cannot be read from here on", mark.index if mark else 0) from None
        except RecursionError:
            raise self._broken("lists or mappings are nested too deep", 0) from None

    def value(self, node: yaml.Node, path: Path) -> Any:
        """Return the value of a node; None for a key without a value."""
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(path) > _DEEPEST:
            raise self._broken("lists or mappings are nested too deep, or too many", 0)
        if node.tag not in _PLAIN_TAGS:
            raise self._broken("the YAML cannot be read from here on", node.start_mark.index)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, position)) for position, item in enumerate(node.value)]
        return None if node.tag == _NULL else node.value

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self.places[path] = self._place(node)
        return self.value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._broken("a key has to be one word", key.start_mark.index)
        if self._unique:
            self._refuse_repeated(node)
        with self._in_own_words():
            self._loader.flatten_mapping(node)  # `<<: *defaults`
        values: dict[str, Any] = {}
        for key, held in node.value:
            below = (*path, key.value)
            self.places[below] = self._place(key)
            values[key.value] = self.value(held, below)
        return values

    def _refuse_repeated(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise self._broken("a key stands here that its section has already", key.start_mark.index)
            seen.add(key.value)

    def _place(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}" if self._is_file else self._name

    def _broken(self, sentence: str, index: int) -> InvalidSettings:
        """Return the error for a place in the text; only punctuation at that place is quoted."""
        sign = self._text[index : index + 1]
        if sign and sign in "!*&@`%|>":
            sentence = f"a value begins with {sign} and stands in no quotes"
        elif sign == "\t":
            sentence = "a tab stands here, where YAML allows blanks alone"
        before = self._text[:index]
        line, column = before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1
        place = f"{self._name}:{line}:{column}" if self._is_file else f"{self._name}, character {index + 1}"
        return InvalidSettings(f"{place}: {sentence}", hint=f"{_QUOTED}; {_MAPPING if self._is_file else _JSON}")


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**second, **first}
    for key in first.keys() & second.keys():
        if isinstance(first[key], dict) and isinstance(second[key], dict):
            merged[key] = _merged(first[key], second[key])
    return merged
