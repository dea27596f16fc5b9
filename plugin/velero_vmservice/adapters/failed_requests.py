"""Counts failed requests to other systems for Prometheus."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import AlreadyExists, Conflict, NotFound, VmServiceError
from velero_vmservice.metrics import API_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.metrics import Api

_STATUSES: Final = frozenset(HTTPStatus)
_ANSWERS: Final = (NotFound, AlreadyExists, Conflict)
"""Answers of a healthy system, which are not failures of the system or the network."""


def is_failure(error: VmServiceError) -> bool:
    """Say whether an error of another system is a failure, not an answer."""
    return not isinstance(error, _ANSWERS)


def api_failed(api: Api, error: VmServiceError, cause: str) -> VmServiceError:
    """Count a failed request and return its error; `cause` MUST be from a closed list, such as statuses or classes."""
    if is_failure(error):
        API_ERRORS.labels(api, error.code, cause).inc()
    return error


@contextlib.contextmanager
def counting(api: Api) -> Iterator[None]:
    """Count an error that leaves the block, by the status or the class of its cause."""
    try:
        yield
    except VmServiceError as error:
        api_failed(api, error, _cause(error.__context__))
        raise


def _cause(raised: BaseException | None) -> str:
    """Return the status of an error answer, or else the class of the client's exception."""
    status = getattr(raised, "status", None)
    if isinstance(status, int) and status in _STATUSES:
        return str(status)
    return type(raised).__name__ if raised is not None else "answer"
