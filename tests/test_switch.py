"""Never two models at once: after a switch, each map says of which model it is, or goes."""

import re
from collections.abc import Iterator

import pytest
from dashboard import DESK, LONG, choose, idle, map_of
from playwright.sync_api import Browser, Page, expect


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page with a crop of its own, so that the server's caches know no map of it."""
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    page.goto(f"{address}/?crop=41/43&methods=gradient~integrated_gradients(steps=2)")
    expect(map_of(page, "integrated_gradients")).to_be_visible(timeout=2 * LONG)
    idle(page)
    yield page
    context.close()


def test_finished_maps_of_a_cancelled_choice_stay_and_earlier_ones_are_marked(page: Page) -> None:
    above = page.locator(".st-key-map-gradient .above")
    expect(above).to_have_text("Gradient: German shepherd")
    place = map_of(page, "gradient").bounding_box()
    field = page.get_by_label("Steps", exact=True)
    page.get_by_text("Compute automatically").click()
    field.fill("1000")
    field.press("Enter")
    choose(page, "Model", "EfficientNet-Lite0")
    expect(above).to_have_text("Gradient: German shepherd (SqueezeNet 1.1, earlier choice)")
    page.get_by_role("button", name="Compute", exact=True).click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    assert map_of(page, "gradient").bounding_box() == place  # nothing moves while a job runs
    expect(page.get_by_role("heading", level=1)).to_contain_text("EfficientNet-Lite0", timeout=LONG)
    expect(map_of(page, "gradient")).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_test_id("stMain")).to_contain_text("Cancelled.")
    expect(above).to_have_text("Gradient: German shepherd")  # of the new model, and nothing of the old one is left
    expect(page.get_by_role("heading", level=1)).to_contain_text("EfficientNet-Lite0")
    assert "last finished" not in page.get_by_test_id("stMain").inner_text()
    other = page.locator(".st-key-map-integrated_gradients")
    expect(other).to_contain_text(re.compile(r"Partial map: not finished\.|Not computed\."))
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
