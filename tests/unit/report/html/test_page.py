from __future__ import annotations

import base64
import gzip
import itertools
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests import sample_report
from tests.sample_report import ENDED, GROUP, RUN, SERVICE, at, machine, members, result
from velero_vmservice import __version__, documents
from velero_vmservice.report.html.page import render
from velero_vmservice.report.model import Change, Deviation, Dropped, EarlierEnd, Port, Report
from velero_vmservice.report.summary import compose

MOST_BYTES = 1_000_000
_VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """What a parser makes of the page: elements with their attributes, text outside script and style, and the data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
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
            self.texts.append(data)

    @property
    def report(self) -> bytes:
        """The embedded document."""
        return gzip.decompress(base64.b64decode(self.data, validate=True))

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def close(self) -> None:
        super().close()
        assert self._open == []


def _hostile(text: str) -> Report:
    """Put a text into every field that another party can write."""
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
def test_hostile_text_stays_text(text: str) -> None:
    plain, hostile = Page(render(_hostile("harmless"))), Page(render(_hostile(text)))
    assert [(tag, sorted(attrs)) for tag, attrs in hostile.elements] == [
        (tag, sorted(attrs)) for tag, attrs in plain.elements
    ]
    assert text in hostile.text


def test_invisible_characters_and_those_that_turn_text_around_are_spelled_out() -> None:
    text = "a\x00b\x1bc\x85d\u202ee\u200bf\u2066g\ufeff"
    page = Page(render(_hostile(text)))
    assert r"a\u0000b\u001bc\u0085d\u202ee\u200bf\u2066g\ufeff" in page.text
    assert not re.search("[\x00\x1b\x85\u202e\u200b\u2066\ufeff]", page.text)


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028&\x00\x1f\\u003c", "é 漢 🙂"])
def test_the_embedded_data_is_the_report_itself(text: str) -> None:
    report = _hostile(text)
    assert documents.parse(Report, Page(render(report)).report, key="report") == report


def test_the_embedded_data_are_the_canonical_bytes() -> None:
    report = sample_report.sample()
    assert Page(render(report)).report == documents.canonical(report)


def test_the_documented_command_reads_the_embedded_report() -> None:
    report = sample_report.sample()
    documented = (Path(__file__).parents[4] / "docs" / "report.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^python3 -c '(.*)' < report\.html$", documented, flags=re.MULTILINE)
    read = subprocess.run(
        [sys.executable, "-c", program], input=render(report), capture_output=True, text=True, check=True
    )
    assert read.stdout.strip().encode() == documents.canonical(report)


def test_the_page_is_drawn_where_all_modules_are_in_one_archive(tmp_path: Path) -> None:
    """The self-contained plugin has them so."""
    sources = Path(__file__).parents[4]
    archive = shutil.make_archive(str(tmp_path / "modules"), "zip", sources / "plugin", "velero_vmservice")
    program = (
        f"import sys; sys.path[:0] = [{archive!r}, {str(sources)!r}]\n"
        "from tests import sample_report; from velero_vmservice.report.html import page\n"
        "print(page.__file__, page.render(sample_report.sample()), sep='\\n')"
    )
    drawn = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    module, _, html = drawn.stdout.partition("\n")
    assert module.startswith(archive)
    assert html.strip() == render(sample_report.sample()).strip()


def test_every_object_and_vm_has_an_id_of_its_own() -> None:
    for report in (sample_report.sample(), sample_report.large()):
        ids = [str(attrs["id"]) for _, attrs in Page(render(report)).elements if "id" in attrs]
        assert len(ids) == len(set(ids))
        assert {item.key for item in (*report.objects, *report.machines)} <= set(ids)


def test_each_next_step_leads_to_the_rows_that_it_is_about() -> None:
    report = sample_report.sample()
    page = Page(render(report))
    ids = {attrs.get("id") for _, attrs in page.elements}
    links = {str(attrs["href"]).removeprefix("#") for tag, attrs in page.elements if tag == "a"}
    assert links <= ids
    assert {key for step in report.steps for key in step.about} <= links


def test_the_drawing_and_the_list_of_an_application_lead_to_its_rows() -> None:
    report = sample_report.sample()
    section = render(report).partition('<section id="applications">')[2].partition("</section>")[0]
    drawings = "".join(re.findall("<figure.*?</figure>", section, flags=re.DOTALL))
    lists = re.sub("<figure.*?</figure>", "", section, flags=re.DOTALL)
    keys = {item.key for item in (*report.objects, *report.machines)}
    for shown in (drawings, lists):
        assert set(re.findall('<a href="#([^"]+)"', shown)) == keys


def test_an_id_has_no_blank_whatever_the_name() -> None:
    page = Page(render(_hostile('a b\t"c')))
    assert not [attrs["id"] for _, attrs in page.elements if re.search(r"\s", str(attrs.get("id", "")))]


def test_a_note_that_every_vm_of_a_long_table_has_stands_above_it_once() -> None:
    vms = tuple(machine(f"web-{number}", notes=("said of all", f"said of {number}")) for number in range(30))
    html = render(compose(RUN, (result(GROUP, "web", "verified", "", machines=vms),), policy={}, ended=ENDED))
    assert (html.count("said of all"), html.count("said of 7")) == (1, 1)


@pytest.mark.parametrize("trouble_at", [pytest.param(10, id="one of ten in trouble"), pytest.param(1, id="all")])
@pytest.mark.parametrize(("applications", "machines"), [(1, 1000), (100, 10), (250, 4)])
def test_the_page_of_a_thousand_vms_is_smaller_than_a_megabyte(
    applications: int, machines: int, trouble_at: int
) -> None:
    report = sample_report.large(applications=applications, machines=machines, trouble_at=trouble_at)
    html = render(report)
    ids = {attrs.get("id") for _, attrs in Page(html).elements}
    assert len(report.machines) == 1000
    assert len(html.encode()) < MOST_BYTES
    assert {item.key for item in (*report.objects, *report.machines)} <= ids


def test_a_backup_version_is_shown_as_the_time_that_it_is() -> None:
    text = Page(render(sample_report.sample())).text
    assert "older (2026-11-22 19:00:05 UTC → 2026-11-21 19:00:05 UTC)" in text
    assert "1795374005000" not in text


def test_the_cluster_and_the_version_of_the_plugin_are_named() -> None:
    named = {
        "cluster": "https://supervisor.example:6443",
        "cluster_id": "c0ffee",
        "resumed": at("22:00:00"),
        "velero": "velero/velero:v1.17.0",
    }
    page = re.sub(r"\s+", " ", Page(render(sample_report.sample().model_copy(update=named))).text)
    assert "cluster https://supervisor.example:6443 (c0ffee)" in page
    assert "resumed 2026-11-22 22:00:00 UTC" in page
    assert f"plugin {__version__}" in page
    assert "Velero velero/velero:v1.17.0" in page


def test_the_steps_of_a_report_that_has_them_as_text_alone_are_shown() -> None:
    stored = sample_report.sample().model_copy(update={"steps": (), "next_steps": ("Do this.\nkubectl get vm",)})
    assert "Do this." in Page(render(stored)).text
    assert "kubectl get vm" in Page(render(stored)).text


def test_how_an_object_ended_before_it_was_resumed_is_shown() -> None:
    first = EarlierEnd(stage="cancelled", reason="out of time", ended=at("21:00:00"))
    second = EarlierEnd(stage="failed", reason="refused", ended=at("22:00:00"))
    item = result(SERVICE, "web", "verified", "as expected", earlier=second, earlier_ends=(first, second))
    text = Page(render(compose(RUN, (item,), policy={}, ended=ENDED))).text
    assert "before it was resumed (2026-11-22 21:00:00 UTC): cancelled: out of time" in text
    assert "before it was resumed (2026-11-22 22:00:00 UTC): failed: refused" in text


def test_a_report_of_before_that_knows_one_earlier_end_is_shown_too() -> None:
    item = result(
        SERVICE, "web", "verified", "as expected", earlier=EarlierEnd(stage="cancelled", reason="out of time")
    )
    text = Page(render(compose(RUN, (item,), policy={}, ended=ENDED))).text
    assert "before it was resumed: cancelled: out of time" in text


def test_rows_without_a_problem_are_hidden_where_only_problems_are_asked_for() -> None:
    page = Page(render(sample_report.sample()))
    calm = [
        attrs.get("class", "") for tag, attrs in page.elements if tag == "details" and "app" in str(attrs.get("class"))
    ]
    assert ["calm" in str(item).split() for item in calm] == [False, True]
    assert [attrs["type"] for tag, attrs in page.elements if tag == "input"] == ["checkbox"]


@pytest.mark.parametrize("report", [sample_report.sample(), compose(RUN, (), policy={}, ended="")])
def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(report: Report) -> None:
    page = Page(render(report))
    loading = {"src", "srcset", "action", "data", "poster", "background"}
    assert [attrs for _, attrs in page.elements if loading & attrs.keys()] == []
    assert {str(attrs["href"])[0] for _, attrs in page.elements if "href" in attrs} <= {"#"}
    assert [attrs for tag, attrs in page.elements if tag == "script"] == [{"type": "text/plain", "id": "report"}]
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
