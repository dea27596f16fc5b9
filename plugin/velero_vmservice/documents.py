"""Stored documents: their common form, how they are written, digested and read back."""

from __future__ import annotations

import hashlib
import io
from sys import intern
from typing import TYPE_CHECKING, Annotated, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_jsonable_python

from velero_vmservice.errors import Corrupt
from velero_vmservice.text import shared_names, shared_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

Name = Annotated[str, AfterValidator(intern)]
"""A string with many copies, such as a VM's name, which is kept once."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""A digest in the plugin's form. Any other text, or an empty one, would leave a document unchecked."""

Names = Annotated[tuple[str, ...], AfterValidator(shared_names)]

Pairs = Annotated[dict[str, str], AfterValidator(shared_pairs)]


class Document(BaseModel):
    """A stored value; unknown fields of a newer writer are ignored, never refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")


DocumentT = TypeVar("DocumentT", bound=Document)


def canonical(document: Document) -> bytes:
    """Return the document's bytes: equal documents have equal bytes."""
    written = io.BytesIO()
    for piece in _pieces(document):
        written.write(piece)
    return written.getvalue()


def _pieces(document: Document) -> Iterator[bytes]:
    """Write a document's lists entry by entry, because the facts of 10,000 VMs at once are 50 MiB."""
    for number, name in enumerate(sorted(type(document).model_fields)):
        value = getattr(document, name)
        yield (b',"%b":' if number else b'{"%b":') % name.encode()
        if isinstance(value, tuple):
            yield b"["
            for position, entry in enumerate(value):
                yield b",%b" % _json(entry) if position else _json(entry)
            yield b"]"
        else:
            yield _json(value)
    yield b"}"


def _json(value: object) -> bytes:
    return orjson.dumps(to_jsonable_python(value, by_alias=False, inf_nan_mode="null"), option=orjson.OPT_SORT_KEYS)


def digest(body: bytes) -> str:
    """Return the SHA-256 of the bytes, in hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def parse(model: type[DocumentT], body: bytes, *, key: str) -> DocumentT:
    """Read a stored document; raises `Corrupt` with the key if it is not the plugin's or of a newer schema."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Corrupt(
            f"the stored document {key} cannot be read as {model.__name__}",
            hint="use another backup, or the release that wrote it: it was changed, or is of a newer release",
        ) from error


class Dropped(Document):
    """One removed field, and the reason."""

    path: str
    reason: str
