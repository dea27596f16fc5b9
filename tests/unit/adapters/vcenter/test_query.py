"""Page after page of an answer, and what becomes of those that are not wanted any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.clock import SettableClock
from velero_vmservice.adapters.vcenter import query as vcenter_query
from velero_vmservice.adapters.vcenter import sdk
from velero_vmservice.adapters.vcenter.query import Budget, OutOfTime
from velero_vmservice.errors import AnswerTooLong

SDK = sdk.load()


@dataclass
class Collector:
    """A property collector with pages of two objects, of which it keeps those that are not fetched yet."""

    pages: int = 3
    fails: Exception | None = None
    """Raised for the second page."""
    fetched: int = 0
    kept: set[str] = field(default_factory=set)

    def begin(self, _query: Any, _options: Any) -> Any:
        return self._page()

    def go_on(self, token: str) -> Any:
        if self.fails:
            raise self.fails
        self.kept.remove(token)
        return self._page()

    def cancel(self, token: str) -> None:
        self.kept.remove(token)

    def _page(self) -> Any:
        self.fetched += 1
        token = f"token-{self.fetched}" if self.fetched < self.pages else None
        self.kept |= {token} if token else set()
        objects = [SimpleNamespace(obj=f"{self.fetched}.{n}", propSet=[], missingSet=[]) for n in range(2)]
        return SimpleNamespace(objects=objects, token=token)


def read(collector: Collector, clock: SettableClock, *, seconds_each: float = 0) -> list[str]:
    methods = SimpleNamespace(
        RetrievePropertiesEx=collector.begin,
        ContinueRetrievePropertiesEx=collector.go_on,
        CancelRetrievePropertiesEx=collector.cancel,
    )
    budget, content, names = Budget.of(clock, 60), SimpleNamespace(propertyCollector=methods), list[str]()
    for vsphere_object, _ in vcenter_query.retrieve(SDK, content, [], demand_time=budget.demand):
        names.append(vsphere_object)
        clock.advance(seconds_each)
    return names


def test_every_page_is_read_and_none_kept() -> None:
    collector = Collector()
    assert read(collector, SettableClock()) == ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1"]
    assert (collector.fetched, collector.kept) == (3, set())


@pytest.mark.parametrize(
    ("seconds", "pages"), [(61, 1), (31, 1), (21, 2)], ids=["within a page", "at its end", "within a further page"]
)
def test_a_look_without_time_asks_for_no_further_page_and_leaves_none(seconds: float, pages: int) -> None:
    collector = Collector()
    with pytest.raises(OutOfTime, match="took more than 60 s"):
        read(collector, SettableClock(), seconds_each=seconds)
    assert (collector.fetched, collector.kept) == (pages, set())


def test_pages_after_one_that_is_too_long_are_not_left() -> None:
    collector = Collector(fails=AnswerTooLong("too long"))
    with pytest.raises(AnswerTooLong):
        read(collector, SettableClock())
    assert collector.kept == set()


def test_a_vcenter_that_does_not_answer_is_not_asked_again() -> None:
    collector = Collector(fails=TimeoutError("late"))
    with pytest.raises(TimeoutError):
        read(collector, SettableClock())
    assert collector.kept == {"token-1"}


def test_the_reason_for_giving_up_is_raised_though_the_rest_cannot_be_cancelled() -> None:
    class Refusing(Collector):
        def cancel(self, token: str) -> None:
            raise ConnectionError(token)

    with pytest.raises(OutOfTime):
        read(Refusing(), SettableClock(), seconds_each=31)
