"""Back and Forward undo and redo target, model, methods and page, in Chromium."""

import re
from pathlib import Path

from dashboard import choose, expect_new, idle, map_of, source, upload
from playwright.sync_api import Page, expect


def entries(page: Page) -> int:
    return int(page.evaluate("history.length"))


def test_back_and_forward_walk_through_target_model_methods_and_pages(page: Page) -> None:
    idle(page)
    sidebar, first = page.get_by_test_id("stSidebar"), entries(page)

    def at(query: str, step: str = "") -> None:
        """Wait until the address bar and the page agree on a step, and for nothing that would follow."""
        expect(page).to_have_url(re.compile(query))
        if step:
            expect(page.locator(".st-key-map-gradient")).to_contain_text(step)
        idle(page)
        page.wait_for_timeout(500)
        expect(page).to_have_url(re.compile(query))

    choose(page, "Target class", "tabby")
    at(r"/\?target=281$", "tabby")
    choose(page, "Model", "EfficientNet-Lite0")
    at(r"/\?model=efficientnet_lite0&target=281$", "tabby")
    sidebar.get_by_role("button", name="Guided backpropagation").click()
    methods = "methods=gradient~zeiler_fergus~integrated_gradients"
    at(rf"{methods}$")
    page.get_by_role("link", name="Methods").click()
    at(rf"/methods\?.*{methods}$")
    page.get_by_label("Steps", exact=True).fill("7")
    page.get_by_label("Steps", exact=True).press("Enter")
    at(r"/methods\?.*steps=7\)$")
    assert entries(page) == first + 5

    page.go_back()
    at(rf"/methods\?.*{methods}$")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("")
    page.go_back()
    at(rf"/\?.*{methods}$", "tabby")
    expect(map_of(page, "guided_backprop")).to_have_count(0)
    page.go_back()
    at(r"/\?model=efficientnet_lite0&target=281$", "tabby")
    expect(map_of(page, "guided_backprop")).to_be_visible()
    page.go_back()
    at(r"/\?target=281$", "tabby")
    expect(page.get_by_role("combobox", name=re.compile("^Model|Model$"))).to_have_value(re.compile("SqueezeNet"))
    page.get_by_label("View").select_option("heat")  # the view makes no entry
    at(r"/\?target=281&view=heat$")
    page.go_back()
    at(r"/\?view=heat$", "German shepherd")
    assert entries(page) == first + 5
    for query in (r"/\?target=281&view=heat$", r"/\?model=efficientnet_lite0&target=281&view=heat$", methods):
        page.go_forward()
        at(query, "tabby")
    page.go_forward()
    at(rf"/methods\?.*{methods}")
    page.go_forward()
    at(r"/methods\?.*steps=7\)")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("7")
    assert entries(page) == first + 5


def test_a_reload_and_back_keep_an_upload_until_it_is_removed(page: Page, samples: Path) -> None:
    old = source(page, "gradient")
    upload(page, "photo.jpg", (samples / "giant_panda.jpg").read_bytes())
    expect_new(page, "gradient", old)
    panda = source(page, "gradient")
    link = page.url
    page.reload()
    expect(page.locator(".st-key-map-gradient")).to_contain_text("giant panda")
    idle(page)
    assert source(page, "gradient") == panda
    choose(page, "Target class", "tabby")
    expect(page.locator(".st-key-map-gradient")).to_contain_text("tabby")
    page.get_by_role("radio", name="Samples").click()
    expect(page.locator(".st-key-map-gradient")).to_contain_text("tabby")
    idle(page)
    page.go_back()
    idle(page)
    page.go_back()
    expect(page.locator(".st-key-map-gradient")).to_contain_text("giant panda")
    other = page.context.new_page()
    other.goto(link)
    expect(other.get_by_test_id("stMain")).to_contain_text("No photo yet")
    other.close()
    page.get_by_role("button", name="Remove the photo").click()
    expect(page.get_by_test_id("stMain")).to_contain_text("No photo yet")
    page.reload()
    expect(page.get_by_test_id("stMain")).to_contain_text("No photo yet")
    expect(map_of(page, "gradient")).to_have_count(0)
