"""The base of all settings: closed, frozen, and tolerant of YAML 1.1's `on`, `off`, `yes` and `no`."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

_TRUE: Final = frozenset({"true", "yes", "on"})
_FALSE: Final = frozenset({"false", "no", "off"})


class Section(BaseModel):
    """A group of settings; an unknown key is an error, because a typo would otherwise only show at a restore.

    Errors never hold a value, which may be a secret: see `settings_faults`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _documented_spelling(cls, value: Any, info: ValidationInfo) -> Any:
        """Return the documented choice that means the same boolean.

        YAML 1.1 reads an unquoted `on` as true, and Helm then writes it into a ConfigMap as `true`. Raises `ValueError`
        for a character that no setting's text has.
        """
        if isinstance(value, str) and "\0" in value:
            raise ValueError("has a character that no setting has")  # and no file's name may have it
        choices = choices_of(cls.model_fields[str(info.field_name)].annotation)
        if not choices or value in choices or not isinstance(value, (str, bool)):
            return value
        word = str(value).lower()
        same = next((spellings for spellings in (_TRUE, _FALSE) if word in spellings), frozenset())
        return next((choice for choice in choices if choice in same), value)


def choices_of(annotation: Any) -> tuple[str, ...]:
    """Return the values of a setting with a closed list of values; () for any other."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()
