"""The page of a drill as a browser shows it: nothing is cut off, and nothing but the page is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.drill.test_page import report
from velero_vmservice.drill.page import render

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.mark.parametrize("width", [390, 1280])
def test_a_drill_fits_a_phone_and_a_desktop(browser: Browser, tmp_path: Path, width: int) -> None:
    (tmp_path / "drill.html").write_text(render(report()), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, java_script_enabled=False)
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    page.goto((tmp_path / "drill.html").as_uri())
    assert page.locator("#applications h3").first.is_visible()
    box = page.locator("body").bounding_box()
    assert box is not None
    assert box["width"] <= width
    page.locator("#problems-only").check()
    assert [heading.split()[0] for heading in page.locator("#applications h3:visible").all_inner_texts()] == [
        "shop/refused",
        "shop/warned",
    ]
    assert logged == []
    page.close()
