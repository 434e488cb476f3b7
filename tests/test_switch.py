"""After a switch of the model each map says of which model it is, or goes; after a switch of the page it is there."""

import re
from collections.abc import Iterator

import pytest
from dashboard import DESK, LONG, choose, idle, map_of
from playwright.sync_api import Browser, Page, WebSocketRoute, expect
from streamlit.proto.BackMsg_pb2 import BackMsg


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


def test_a_click_on_the_old_page_on_the_way_to_another_does_not_empty_that_one(browser: Browser, address: str) -> None:
    """Hold the request of a link until the page that it leaves has asked for one of its fragments."""
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    held: list[bytes] | None = None

    def connect(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def sent(message: str | bytes) -> None:
            assert isinstance(message, bytes)
            if held is None or len(held) == 2:
                server.send(message)
                return
            held.append(message)
            if len(held) == 2:
                for each in held:
                    server.send(each)

        socket.on_message(sent)

    page.route_web_socket("**/stream", connect)
    page.goto(f"{address}/?methods=gradient")
    expect(map_of(page, "gradient")).to_be_visible(timeout=LONG)
    idle(page)
    page.wait_for_timeout(1000)
    held = []
    page.get_by_role("link", name="Methods").click()
    map_of(page, "gradient").click()
    expect(page.get_by_role("heading", name="What each method can and cannot show")).to_be_visible()
    link, mark = (BackMsg.FromString(each).rerun_script for each in held)
    assert mark.fragment_id
    assert link.page_script_hash != mark.page_script_hash
    page.wait_for_timeout(1500)
    expect(page.get_by_role("heading", name="What each method can and cannot show")).to_be_visible()
    context.close()
