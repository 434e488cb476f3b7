"""Fifty hostile files through the real upload in a browser: each a photo or its one sentence, and the server stays up."""

from pathlib import Path

from dashboard import DESK, FIRST, LONG, idle, map_of, serving, upload
from hostile.files import SECRET, sample
from playwright.sync_api import Browser, Page, expect
from session import memory

from attribution import Refusal, open_image

COUNT = 50
ALLOWED = 50.0  # MB that the server may have grown by in the end


def test_fifty_hostile_uploads_give_a_photo_or_a_sentence(browser: Browser, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(log) as (address, process):
        context = browser.new_context(viewport=DESK)
        context.set_default_timeout(LONG)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.goto(address)
        expect(map_of(page, FIRST[-1])).to_be_visible(timeout=LONG)
        idle(page)
        page.get_by_text("Compute automatically").click()  # the photos count here, and not their maps
        photos = 0
        for number, (name, data) in enumerate(sample(COUNT)):
            photos += _sent(page, name, data)
            if not number:
                before = memory(process.pid)
        assert 5 < photos < COUNT - 5  # both were seen
        assert memory(process.pid) - before < ALLOWED
        assert process.poll() is None
        context.close()
    assert errors == []
    said = log.read_text()
    assert "Traceback" not in said
    assert SECRET not in said


def _sent(page: Page, name: str, data: bytes) -> bool:
    """Upload a file, see that the page shows what it must, and take it away again; whether it is a photo."""
    main, square = page.get_by_test_id("stMain"), page.get_by_role("button", name="The square that the network sees")
    upload(page, name, data)
    try:
        open_image(data)
        photo = True
        expect(square).to_be_visible()
        expect(main).not_to_contain_text("There is no photo yet")
    except Refusal as refusal:
        photo = False
        expect(main).to_contain_text(str(refusal))
        expect(square).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.get_by_role("button", name=f"Remove {name}").click()
    expect(main).to_contain_text("There is no photo yet")
    return photo
