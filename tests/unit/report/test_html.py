from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests import sample_report
from tests.sample_report import ENDED, GROUP, RUN, SERVICE, at, machine, members, result
from velero_vmservice.core import archive
from velero_vmservice.core.compose import compose
from velero_vmservice.core.report import Change, Deviation, Dropped, Port, Report
from velero_vmservice.report.html import render

_VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """What a parser makes of the page: elements with their attributes, text outside script and style, and the data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.data = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.data += data
        elif self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def close(self) -> None:
        super().close()
        assert self._open == []


def _hostile(text: str) -> Report:
    """Put a text into every field that somebody else can write."""
    odd = machine(
        text,
        namespace=text,
        group_name=text,
        waiting_for=text,
        addresses_after=(text,),
        deviations=(Deviation(attribute=text, expected=text, found=text, note=text),),
        timeline=((text, text), (at("20:00:00"), text)),
    )
    rest: dict[str, Any] = {
        "namespace": text,
        "source_namespace": text + "2",
        "notes": (text,),
        "warnings": (text,),
        "trimmed": (text,),
        "changes": (Change(path=text, captured=text, live=text),),
        "dropped": (Dropped(path=text, reason=text),),
        "remedy": (text,),
        "next_commands": (text,),
        "timeline": ((text, text), (at("20:00:00"), text)),
        "machines": (odd,),
        "power_before": text,
        "action": text,
    }
    objects = (
        result(GROUP, text, "failed", text, members=members(text), parent=text, **rest),
        result(SERVICE, text, "verified", text, selected=(text,), ports=(Port(name=text, port=1, probe=text),), **rest),
    )
    report = compose(RUN, objects, policy={text: text}, ended=ENDED)
    return report.model_copy(update={"restore": text, "backup": text, "restore_uid": text})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("</script><script>alert(1)</script>", id="the end of the embedded data"),
        pytest.param("</title></style><img src=x onerror=alert(1)>", id="an element with a handler"),
        pytest.param("\" onload='alert(1)' x=\"", id="the end of an attribute"),
        pytest.param("<!--<script>", id="a comment that swallows the end of a script"),
        pytest.param("{{ 7 * 7 }}{% raw %}", id="the template's own language"),
        pytest.param("]]>&lt;b&gt;&#60;", id="references"),
        pytest.param("javascript:alert(1)", id="an address that runs"),
    ],
)
def test_hostile_words_are_words(text: str) -> None:
    plain, hostile = Page(render(_hostile("harmless"))), Page(render(_hostile(text)))
    assert [(tag, sorted(attrs)) for tag, attrs in hostile.elements] == [
        (tag, sorted(attrs)) for tag, attrs in plain.elements
    ]
    assert text in hostile.text


def test_what_would_not_be_seen_or_turns_text_around_is_spelled_out() -> None:
    text = "a\x00b\x1bc\x85d\u202ee\u200bf\u2066g\ufeff"
    page = Page(render(_hostile(text)))
    assert r"a\u0000b\u001bc\u0085d\u202ee\u200bf\u2066g\ufeff" in page.text
    assert not re.search("[\x00\x1b\x85\u202e\u200b\u2066\ufeff]", page.text)


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028&\x00\x1f\\u003c", "é 漢 🙂"])
def test_the_embedded_data_is_the_report_itself(text: str) -> None:
    report = _hostile(text)
    assert Report.model_validate(json.loads(Page(render(report)).data)) == report


def test_the_embedded_data_are_the_canonical_bytes_but_for_escapes() -> None:
    report = sample_report.sample()
    data = Page(render(report)).data
    unescaped = re.sub(r"\\u(003c|003e|0026)", lambda found: chr(int(found[1], 16)), data)
    assert unescaped.encode() == archive.canonical(report)


@pytest.mark.parametrize("report", [sample_report.sample(), compose(RUN, (), policy={}, ended="")])
def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(report: Report) -> None:
    page = Page(render(report))
    loading = {"src", "srcset", "action", "data", "poster", "background"}
    assert [attrs for _, attrs in page.elements if loading & attrs.keys()] == []
    assert {str(attrs["href"])[0] for _, attrs in page.elements if "href" in attrs} <= {"#"}
    assert [attrs for tag, attrs in page.elements if tag == "script"] == [{"type": "application/json", "id": "report"}]
    names = {name for _, attrs in page.elements for name in attrs}
    assert not {name for name in names if name.startswith("on") or name == "style"}
    policy = next(attrs["content"] for _, attrs in page.elements if "http-equiv" in attrs)
    assert str(policy).startswith("default-src 'none'; style-src 'sha256-")


def test_headings_follow_each_other_and_tables_have_headers() -> None:
    page = Page(render(sample_report.sample()))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    scopes = [attrs.get("scope") for tag, attrs in page.elements if tag == "th"]
    assert set(scopes) == {"col", "row"}


def test_a_restore_that_has_not_ended_or_knows_no_times_is_shown() -> None:
    waiting = result(GROUP, "web", "waiting", "looking for the VMs", ended="", started="", timeline=(("", "odd"),))
    page = Page(render(compose(RUN, (waiting,), policy={}, ended="")))
    assert "Still under way" in page.text
    assert "unknown" in page.text


def test_the_page_of_a_large_restore_folds_what_is_as_expected() -> None:
    page = Page(render(sample_report.large()))
    opened = [attrs for tag, attrs in page.elements if tag == "details" and "open" in attrs]
    assert len(opened) == 6
    assert "270 verified" in re.sub(r"\s+", " ", page.text)
