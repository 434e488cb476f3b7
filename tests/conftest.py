"""Fixtures that several test files share."""

import os
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
import torch
from dashboard import DESK, FIRST, LONG, map_of, serving
from hypothesis import settings
from playwright.sync_api import Browser, Page, expect, sync_playwright

import attribution as at

settings.register_profile("ci", derandomize=True)  # new examples are looked for at a desk, not where a landing waits
if "CI" in os.environ:
    settings.load_profile("ci")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # as many workers as cores

expect.set_options(timeout=LONG / 3)  # a busy machine is no failure; nothing here measures speed

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what opens Chromium; it runs alone, all else by as many workers as there are cores."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(autouse=True)
def _number_of_threads() -> Iterator[None]:
    """Leave the number of threads as it was found, whatever a test sets."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample photos."""
    return SAMPLES


@pytest.fixture(scope="session")
def squeezenet() -> at.Model:
    """The embedded default model, with its real weights."""
    return at.load_model("squeezenet1_1", device="cpu")


@pytest.fixture(scope="session")
def shepherd(squeezenet: at.Model) -> torch.Tensor:
    """The default photo, prepared for the default model."""
    return squeezenet.prepare(at.open_image(SAMPLES / "german_shepherd_on_grass.jpg"))


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server") / "log") as (address, _):
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The dashboard, open and with its first maps; in the end no exception, no error and no request requests."""
    settings = {"viewport": DESK, "color_scheme": "light", **getattr(request, "param", {})}
    context = browser.new_context(**settings)
    context.set_default_timeout(LONG)
    page = context.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((address, "data:", "blob:")) else requests.append(asked.url),
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    expect(map_of(page, FIRST[-1])).to_be_visible(timeout=LONG)
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0)
    context.close()
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []
