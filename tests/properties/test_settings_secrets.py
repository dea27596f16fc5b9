"""A password in the wrong place stays out of every sentence: whatever is wrong, an error says where, and no value."""

from __future__ import annotations

import itertools
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velero_vmservice.errors import InvalidSettings, VmServiceError
from velero_vmservice.restore.policy import RestorePolicy, effective
from velero_vmservice.settings import sources
from velero_vmservice.settings.reading import Settings, load
from velero_vmservice.settings_faults import section_of

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

CANARY = "S3cretCanary"
SPELLINGS = (
    "{0}",
    "!{0}",
    "!!{0}",
    "!<{0}>",
    "*{0}",
    "&{0}",
    "&{0} *{0}x",
    "%{0}",
    "@{0}",
    "`{0}",
    "|{0}",
    "> {0}",
    "'{0}",
    '"{0}',
    "'{0}\\' '",
    '"\\q{0}"',
    "[{0}",
    "[{0}]",
    "{{{0}}}",
    "{{{0}: }}",
    "{{password:{0}}}",
    "{{server:{0}, user: {0}}}",
    "{{server: {0}}}",
    "{{? [{0}] : a}}",
    "{{<<: {0}}}",
    "a: {0}",
    "{0}: a: b",
    "\t{0}",
    "{0}\x07",
    "{0}\ud7ff\ufffe",
    "https://user:{0}@host",
    "{0}/v1",
    "{0}.example.com",
    "\n    {0}",
    "\n  - {0}",
    "- {0}",
    "? {0}",
)
"""How a secret may stand where a value should: each is taken as a value, or is wrong in a way of its own."""


def keys(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = []
    for name, field in model.model_fields.items():
        paths.append((*above, name))
        if section := section_of(field.annotation):
            paths += keys(section, (*above, name))
    return paths


def written(path: tuple[str, ...], value: str) -> str:
    *above, last = path
    lines = [f"{'  ' * depth}{name}:" for depth, name in enumerate(above)]
    return "\n".join([*lines, f"{'  ' * len(above)}{last}: {value}"])


def output(file: Path | None, variables: dict[str, str]) -> str:
    """Everything that settings which are refused say; nothing where they are accepted."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        if file:
            environment.setenv("VMSERVICE_SETTINGS", str(file))
        try:
            return repr(load())
        except VmServiceError as error:
            return f"{error!r} {error} {''.join(traceback.format_exception(error))}"


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings") / "settings.yaml"


@pytest.mark.parametrize("path", [path for path in keys() if path[-1] == "password" or path == ("vcenter",)])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_password_in_any_spelling_is_never_shown(file: Path, path: tuple[str, ...], spelling: str) -> None:
    file.write_text(written(path, spelling.format(CANARY)), encoding="utf-8")
    assert CANARY not in output(file, {})


@settings(max_examples=400, deadline=None)
@given(
    path=st.sampled_from(keys()),
    spelling=st.sampled_from(SPELLINGS),
    beside=st.sampled_from(
        ["", "vcenter: {server: vc, user: u", "bucket: {name: [}", "log_level: loud", "restore:\n\t- a"]
    ),
    before=st.booleans(),
)
def test_no_fault_of_a_file_tells_a_value(
    file: Path, path: tuple[str, ...], spelling: str, beside: str, *, before: bool
) -> None:
    parts = [written(path, spelling.format(CANARY)), beside]
    file.write_text("\n".join(parts if before else reversed(parts)), encoding="utf-8")
    shown = output(file, {})
    # Accepted settings may be shown; what is a secret among them hides itself.
    assert CANARY not in shown or (shown.startswith("Settings(") and path[-1] != "password")


@settings(max_examples=300, deadline=None)
@given(
    variable=st.sampled_from(sorted(sources._variables(Settings))),
    spelling=st.sampled_from(SPELLINGS),
)
def test_no_fault_of_a_variable_tells_a_value(variable: str, spelling: str) -> None:
    shown = output(None, {variable: spelling.format(CANARY)})
    assert CANARY not in shown or (shown.startswith("Settings(") and "PASSWORD" not in variable)


@settings(max_examples=1000, deadline=None)
@given(text=st.text(alphabet="ab:-?[]{},&*!|>'\"%@`#\\ \n\t\0\x85\ufeff<0~=", max_size=30) | st.text(max_size=20))
def test_any_text_is_read_or_refused_with_a_product_error(file: Path, text: str) -> None:
    for content in (text, f"restore: {text}", f"vcenter:\n  password: {text}"):
        file.write_text(content, encoding="utf-8", errors="surrogatepass")
        output(file, {})


@settings(max_examples=300, deadline=None)
@given(
    variable=st.sampled_from(sorted(sources._variables(Settings))),
    text=st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
)
def test_any_variable_is_read_or_refused_with_a_product_error(variable: str, text: str) -> None:
    output(None, {variable: text})


@pytest.mark.parametrize(("name", "spelling"), list(itertools.product(RestorePolicy.model_fields, SPELLINGS)))
def test_no_fault_of_an_annotation_tells_a_value(name: str, spelling: str) -> None:
    key = f"velero-plugin-for-vmservice/{name.replace('_', '-')}"
    with pytest.raises(InvalidSettings) as refused:
        effective(RestorePolicy(), {key: spelling.format(CANARY)})
    assert CANARY not in f"{refused.value!r} {refused.value}"
    assert key in refused.value.message
