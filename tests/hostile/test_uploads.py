"""Hostile files through the real upload in a browser: each a photo or its sentence, and the server stays up."""

from collections import Counter
from pathlib import Path

import pytest
from dashboard import DESK, LONG, idle, map_of, serving, upload
from hostile.files import SECRET, File, sample
from playwright.sync_api import Browser, Page, expect
from session import memory

from attribution import Refusal, open_image

ALLOWED = 50.0  # MB that the server may have grown by in the end


@pytest.mark.parametrize("count", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_hostile_uploads_give_a_photo_or_a_sentence(browser: Browser, tmp_path: Path, count: int) -> None:
    log = tmp_path / "log"
    with serving(log) as (address, process):
        context = browser.new_context(viewport=DESK)
        context.set_default_timeout(LONG)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.goto(f"{address}/?methods=gradient")
        expect(map_of(page, "gradient")).to_be_visible(timeout=LONG)
        idle(page)
        page.get_by_text("Compute automatically").click()  # the photos count here, and not their maps
        files = _mixed(sample(count))
        assert len({sentence for _, sentence in files}) > count // 10 + 1
        for number, ((name, data), sentence) in enumerate(files):
            _send(page, name, data, sentence)
            if not number:
                before = memory(process.pid)
        assert memory(process.pid) - before < ALLOWED
        assert process.poll() is None
        context.close()
    assert errors == []
    said = log.read_text()
    assert "Traceback" not in said
    assert SECRET not in said


def _expected(data: bytes) -> str:
    """The sentence of the package itself; nothing for a photo."""
    try:
        open_image(data)
    except Refusal as refusal:
        return str(refusal)
    return ""


def _mixed(files: list[File]) -> list[tuple[File, str]]:
    """The files and what must come of them, never the same twice in a row: so each is seen to change the page."""
    waiting = [(file, _expected(file[1])) for file in files]
    mixed: list[tuple[File, str]] = []
    while waiting:
        left = Counter(outcome for _, outcome in waiting)
        others = [each for each in waiting if not mixed or each[1] != mixed[-1][1]]
        mixed.append(max(others, key=lambda each: left[each[1]]))
        waiting.remove(mixed[-1])
    return mixed


def _send(page: Page, name: str, data: bytes, sentence: str) -> None:
    """Upload a file, and see that the page shows what it must."""
    main, square = page.get_by_test_id("stMain"), page.get_by_role("button", name="The crop that the network sees")
    upload(page, name, data)
    if sentence:
        expect(main).to_contain_text(sentence)
        expect(square).to_have_count(0)
    else:
        expect(square).to_be_visible()
        expect(main).not_to_contain_text("The file")
    expect(page.get_by_test_id("stException")).to_have_count(0)
