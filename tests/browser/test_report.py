"""The report's page as a browser shows it, against the JSON that is embedded in it."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests import sample_report
from tests.sample_report import ENDED, RUN, SERVICE, result
from velero_vmservice import documents
from velero_vmservice.report.html import badges
from velero_vmservice.report.html.page import render
from velero_vmservice.report.model import Change, Report, Result
from velero_vmservice.report.summary import compose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

PHONE, DESKTOP = 375, 1280
Json = dict[str, Any]

_EVERY_LOOK = [(width, scheme) for width in (PHONE, DESKTOP) for scheme in ("light", "dark")]
_ids = {"argvalues": _EVERY_LOOK, "ids": [f"{width}-{scheme}" for width, scheme in _EVERY_LOOK]}

_CONTRAST = """() => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number)
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true})
  const rgba = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data] }
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0)
  const ground = element => { for (; element; element = element.parentElement) {
    const color = rgba(getComputedStyle(element).backgroundColor); if (color[3] === 255) return color }
    return rgba(getComputedStyle(document.documentElement).colorScheme === "dark" ? "#000" : "#fff") }
  const poor = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement
    if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, .unseen")) continue
    const style = getComputedStyle(element), ink = rgba(element.closest("svg") ? style.fill : style.color)
    const [high, low] = [light(ink), light(ground(element))].sort((a, b) => b - a)
    const ratio = (high + .05) / (low + .05)
    if (ratio < 4.5) poor.add(`${walk.currentNode.data.trim()}: ${ratio.toFixed(2)}`)
  }
  return [...poor]
}"""
"""Names every text whose contrast is below WCAG's 4.5, against the nearest opaque background."""


@pytest.fixture(name="show")
def _show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Load a report's page from a file, and afterwards insist on silence: no error, no request for anything else."""
    logged: list[str] = []
    requests: list[str] = []
    pages: list[Page] = []

    def show(report: Report, *, width: int = DESKTOP, scheme: Any = "light") -> Page:
        file = tmp_path / f"{len(pages)}.html"
        file.write_text(render(report), encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.on("dialog", lambda dialog: logged.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        pages.append(page)
        page.goto(file.as_uri())
        return page

    yield show
    assert logged == []
    assert requests == [(tmp_path / f"{number}.html").as_uri() for number in range(len(pages))]
    for page in pages:
        page.close()


def _data(page: Page) -> Json:
    content: Json = json.loads(gzip.decompress(base64.b64decode(page.locator("#report").text_content() or "")))
    return content


def _texts(locator: Locator) -> list[str]:
    return [_squeezed(text) for text in locator.all_inner_texts()]


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


@pytest.mark.parametrize(("width", "scheme"), **_ids)
def test_the_page_shows_what_its_data_say(show: Callable[..., Page], width: int, scheme: str) -> None:
    page = show(sample_report.sample(), width=width, scheme=scheme)
    _open_all(page)
    data = _data(page)
    assert Report.model_validate(data) == sample_report.sample()
    assert page.locator("#outcome").get_attribute("data-outcome") == data["outcome"]
    assert page.locator("h1").inner_text() == data["restore"]
    assert _texts(page.locator("#next-steps li p:first-child")) == [_squeezed(step["words"]) for step in data["steps"]]
    commands = [line for step in data["steps"] for line in step["commands"]]
    assert "\n".join(page.locator("#next-steps pre").all_text_contents()).split("\n") == commands
    assert _texts(page.locator("#warnings li")) == [_squeezed(warning) for warning in data["warnings"]]
    keys, values = (_texts(page.locator(f"#policy {tag}")) for tag in ("dt", "dd"))
    assert dict(zip(keys, values, strict=True)) == data["policy"]
    for shown in data["objects"]:
        _assert_object(page, shown)
    for vm in data["machines"]:
        _assert_vm(page, vm)
    timelines = [row["timeline"] for row in (*data["objects"], *data["machines"])]
    assert page.locator("#waits details.wait").count() == len(timelines)
    steps = Counter(_squeezed(text) for entries in timelines for _, text in entries)
    assert Counter(_texts(page.locator("#waits .steps li span"))) == steps


def _assert_object(page: Page, result: Json) -> None:
    label = f"{result['kind']} {result['namespace']}/{result['name']}"
    key = Result.model_validate(result).key
    row = page.locator(f'tr[id="{key}"][data-stage="{result["stage"]}"]')
    assert row.is_visible(), label
    block = page.locator("#objects .block", has=row)
    assert badges.stage(result["stage"]).word in block.locator("h3").inner_text()
    shown = _squeezed(row.inner_text())
    texts = (
        result["name"],
        result["kind"],
        result["reason"],
        result["action"],
        *result["warnings"],
        *result["notes"],
        *result["remedy"],
    )
    assert [text for text in texts if text not in shown] == []
    fields = page.locator(f'tr[id="{key}"] + tr.of-fields')
    assert _texts(fields.locator("tr.change > *")) == [
        text or "absent"
        for change in result["changes"]
        for text in (change["path"], change["captured"], change["live"])
    ]
    assert _texts(fields.locator("tr.dropped > *")) == [
        text for field in result["dropped"] for text in (field["path"], field["reason"])
    ]
    assert _texts(fields.locator("tr.trimmed th")) == result["trimmed"]


def _assert_vm(page: Page, vm: Json) -> None:
    label = f"VirtualMachine/{vm['namespace']}/{vm['name']}"
    row = page.locator(f'tr[id="{label}"]')
    assert row.is_visible(), label
    shown = _squeezed(row.inner_text())
    addresses = (*vm["addresses_before"], *vm["addresses_after"])
    texts = (
        vm["name"],
        vm["backup_version"],
        vm["waiting_for"],
        vm["restore_type"],
        vm["power_after"],
        *addresses,
        *vm["notes"],
    )
    assert [text for text in texts if text not in shown] == []
    cells = page.locator(f'tr[id="{label}"] + tr.of-fields tr.deviation > *')
    assert _texts(cells) == [text for deviation in vm["deviations"] for text in deviation.values()]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_application_is_drawn_with_every_state(show: Callable[..., Page], width: int) -> None:
    page = show(sample_report.sample(), width=width)
    data = _data(page)
    drawing = page.locator(".outline:visible" if width == PHONE else ".picture:visible")
    assert drawing.count() == 2
    drawn = _squeezed(" ".join(drawing.all_text_contents()))
    for row in (*data["objects"], *data["machines"]):
        assert row["name"] in drawn
    counts = Counter(badges.stage(result["stage"]).word for result in data["objects"])
    assert all(drawn.count(word) >= count for word, count in counts.items())
    assert "not registered" in drawn


@pytest.mark.parametrize(("width", "scheme"), **_ids)
def test_nothing_is_wider_than_the_screen_and_every_text_can_be_read(
    show: Callable[..., Page], width: int, scheme: str
) -> None:
    page = show(sample_report.sample(), width=width, scheme=scheme)
    for unfolded in (False, True):
        if unfolded:
            _open_all(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(_CONTRAST) == []


def test_dark_mode_is_dark(show: Callable[..., Page]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = show(sample_report.sample(), scheme="light").evaluate(ground)
    dark = show(sample_report.sample(), scheme="dark").evaluate(ground)
    assert (light, dark) == ("rgb(245, 246, 248)", "rgb(15, 19, 24)")


def test_paper_shows_what_is_folded(show: Callable[..., Page]) -> None:
    page = show(sample_report.sample())
    folded = page.locator("tr.dropped").first
    assert not folded.is_visible()
    page.emulate_media(media="print")
    assert folded.is_visible()


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_large_restore_stays_usable(show: Callable[..., Page], width: int) -> None:
    page = show(sample_report.large(), width=width)
    data = _data(page)
    assert page.locator("tr[data-stage]").count() == len(data["objects"]) == 300
    assert page.locator('tr[id^="VirtualMachine/"]').count() == len(data["machines"]) == 1000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visible = "[...document.querySelectorAll('tr[data-stage]')].filter(one => one.checkVisibility()).length"
    assert page.evaluate(visible) == sum(result["stage"] != "verified" for result in data["objects"])
    page.locator("#objects summary", has_text="270 verified").click()
    assert page.locator('tr[id="VirtualMachineGroup/app-001/app-001"]').is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_hostile_and_endless_text_does_no_harm(show: Callable[..., Page], width: int) -> None:
    attack = "</script><img src=https://attacker.example/x onerror=alert(1)><!--\u202e\x00\"'" + "x" * 900
    change = Change(path=attack, captured=attack, live=attack)
    hostile_result = result(
        SERVICE, attack, "failed", attack, changes=(change,), warnings=(attack,), selected=(attack,)
    )
    report = compose(RUN, (hostile_result,), policy={attack: attack}, ended=ENDED)
    page = show(report, width=width)
    _open_all(page)
    assert Report.model_validate(_data(page)) == report
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_embedded_json_is_the_stored_document(show: Callable[..., Page]) -> None:
    page = show(sample_report.sample())
    again = Report.model_validate(_data(page))
    assert documents.canonical(again) == documents.canonical(sample_report.sample())


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_problems_only_hides_what_is_as_expected(show: Callable[..., Page], width: int) -> None:
    page = show(sample_report.sample(), width=width)
    page.get_by_label("Show problems only").check()
    shown = "[...document.querySelectorAll('tr[data-stage]')].filter(one => one.checkVisibility()).length"
    assert page.evaluate(shown) == sum(result["stage"] != "verified" for result in _data(page)["objects"])
    assert not page.locator('tr[id="VirtualMachine/billing/billing-1"]').is_visible()
    assert page.locator('tr[id="VirtualMachine/shop/shop-db-2"]').is_visible()
    page.get_by_label("Show problems only").uncheck()
    assert page.locator('tr[id="VirtualMachine/billing/billing-1"]').is_visible()


def test_problems_only_says_where_there_is_none(show: Callable[..., Page]) -> None:
    page = show(compose(RUN, (result(SERVICE, "web", "verified", "as expected"),), policy={}, ended=ENDED))
    notice = page.get_by_text("No object and no VM has a problem.")
    assert not notice.is_visible()
    page.get_by_label("Show problems only").check()
    assert notice.is_visible()


def test_a_next_step_leads_to_its_row(show: Callable[..., Page]) -> None:
    page = show(sample_report.large())
    link = page.locator("#next-steps a").first
    key = (link.get_attribute("href") or "").removeprefix("#")
    link.click()
    assert page.locator(f'tr[id="{key}"]:target').is_visible()


@pytest.mark.parametrize(("width", "shown"), [(PHONE, ".outline"), (DESKTOP, ".picture")])
def test_each_drawn_object_leads_to_its_row(show: Callable[..., Page], width: int, shown: str) -> None:
    page = show(sample_report.sample(), width=width)
    link = page.locator(f"{shown}:visible a", has_text="web-1").last
    key = (link.get_attribute("href") or "").removeprefix("#")
    link.click()
    assert page.locator(f'tr[id="{key}"]:target').is_visible()


def test_an_address_leads_to_a_row_that_is_folded(show: Callable[..., Page]) -> None:
    page = show(sample_report.large())
    row = page.locator('tr[id="VirtualMachine/app-001/app-001-vm-1"]')
    assert not row.is_visible()
    page.evaluate("location.hash = 'VirtualMachine/app-001/app-001-vm-1'")
    row.wait_for(state="visible")
