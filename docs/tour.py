"""Make docs/tour.webp, the animation in the README: the real dashboard, driven in Chromium, scene by scene.

    make tour

A scene is a function in SCENES. What the network computes is waited for and not filmed, and the pointer is drawn
afterwards, so that every run shows the same.
"""

import io
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import chromium
from dashboard import FIRST, LONG, expect_new, idle, map_of, serving, source
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Locator, Page, expect, sync_playwright

WIDE, HIGH = 1200, 760  # pixels of the page
WIDTH = 960  # pixels of the animation
BAR = 44  # pixels of the caption's height
STEP, READ = 90, 1000  # milliseconds of a frame in motion, and of one that is to be read
QUALITY = 50  # of WebP, from 0 to 100
LIMIT = 1_500_000  # bytes
POINTER = ((0, 0), (0, 22), (5, 17), (9, 26), (13, 24), (9, 16), (16, 16))  # outline of the arrow
Point = tuple[float, float]


class Film:
    """The page, the pointer on it, and the frames so far."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.caption = ""
        self.frames: list[Image.Image] = []
        self.durations: list[int] = []  # milliseconds
        self.at: Point = (WIDE / 2, HIGH / 2)
        self.pressed = False

    def hold(self, milliseconds: int = READ) -> None:
        """Add a frame of what the page shows now."""
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        scale = WIDTH / shot.width
        frame = Image.new("RGB", (WIDTH, round(shot.height * scale) + BAR), "#111827")
        frame.paste(shot.resize((WIDTH, frame.height - BAR), Image.Resampling.LANCZOS), (0, BAR))
        pen = ImageDraw.Draw(frame)
        pen.text((16, BAR / 2), self.caption, "white", ImageFont.load_default(19), anchor="lm")
        x, y = self.at[0] * scale, self.at[1] * scale + BAR
        if self.pressed:
            pen.ellipse((x - 13, y - 13, x + 13, y + 13), outline="#d97706", width=3)
        pen.polygon([(x + right, y + down) for right, down in POINTER], fill="black", outline="white", width=2)
        if self.frames and self.frames[-1].tobytes() == frame.tobytes():
            self.durations[-1] += milliseconds
        else:
            self.frames.append(frame)
            self.durations.append(milliseconds)

    def to(self, where: Locator | Point, frames: int = 4) -> None:
        """Move the pointer to a point, or to the middle of something."""
        end = where if isinstance(where, tuple) else inside(where)
        start = self.at
        for number in range(1, frames + 1):
            share = number / frames
            share *= share * (3 - 2 * share)  # slow at both ends
            self.at = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
            self.page.mouse.move(*self.at)
            self.hold(STEP)

    def press(self) -> None:
        """Hold the button down."""
        self.page.mouse.down()
        self.pressed = True
        self.hold(STEP)

    def release(self) -> None:
        """Let the button go."""
        self.page.mouse.up()
        self.pressed = False
        self.hold(STEP)

    def click(self, where: Locator | Point) -> None:
        """Move to something and click it."""
        self.to(where)
        self.press()
        self.release()

    def scroll(self, target: Locator, frames: int = 2) -> None:
        """Scroll the page until something is at its top."""
        main = self.page.get_by_test_id("stMain")
        box, top = target.bounding_box(), main.bounding_box()
        assert box
        assert top
        for _ in range(frames):
            main.evaluate("(main, by) => main.scrollBy(0, by)", (box["y"] - top["y"] - 60) / frames)
            self.hold(STEP)

    def open(self, title: str) -> None:
        """Click a page in the navigation; its computing is not filmed."""
        self.to(self.page.get_by_role("link", name=title, exact=True))
        self.press()
        self.page.mouse.up()
        self.pressed = False
        expect(self.page).to_have_title(re.compile(f"^{title}"))

    def save(self, path: Path) -> None:
        """Write the animation."""
        first, *rest = self.frames
        options = {"duration": self.durations, "loop": 0, "quality": QUALITY, "method": 6, "minimize_size": True}
        first.save(path, "WEBP", save_all=True, append_images=rest, **options)


def inside(target: Locator, across: float = 0.5, down: float = 0.5) -> Point:
    """Return a point of something, by shares of its sides."""
    box = target.bounding_box()
    assert box
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def explore(film: Film) -> None:
    """Look at the first maps, then at the others below."""
    film.hold()
    for target in (map_of(film.page, FIRST[-1]), film.page.locator(".st-key-prediction")):
        film.scroll(target)
        film.hold(READ // 2)


def zoom(film: Film) -> None:
    """Zoom into one panel; all others follow."""
    film.to(inside(map_of(film.page, "gradient"), 0.8, 0.25))
    for _ in range(4):
        film.page.mouse.wheel(0, -60)
        film.page.wait_for_timeout(50)
        film.hold(STEP)
    film.hold()
    film.press()
    film.to(inside(map_of(film.page, "gradient"), 0.6, 0.4))
    film.release()
    film.hold(READ // 2)
    film.page.mouse.dblclick(*film.at)
    film.page.wait_for_timeout(300)
    film.hold(READ // 2)


def other_class(film: Film) -> None:
    """Explain the second most probable class, then the first one again."""
    for place, milliseconds in ((1, READ), (0, READ // 2)):
        old = source(film.page, FIRST[-1])
        film.click(film.page.locator(".st-key-prediction button").nth(place))
        expect_new(film.page, FIRST[-1], old)
        film.page.wait_for_timeout(500)
        film.hold(milliseconds)


def probe(film: Film) -> None:
    """Cover the head, and compare what the maps forecast with what the network says."""
    film.open("Probe")
    board = film.page.locator(".st-key-board .board")
    expect(board.get_by_text("Integrated gradients")).to_be_visible()
    idle(film.page)
    film.page.wait_for_timeout(700)
    film.scroll(board)
    film.click(board.get_by_role("button", name="Box", exact=True))
    photo = board.locator("canvas")
    film.to(inside(photo, 0.64, 0.03))
    film.press()
    film.to(inside(photo, 0.98, 0.4), 6)
    film.release()
    expect(board).to_contain_text("Measured probability")
    film.page.wait_for_timeout(1500)
    film.hold()
    row = board.get_by_role("row", name="Integrated gradients")
    film.click(row.get_by_role("button", name="Recompute with this fill"))
    expect(row.get_by_text("for another baseline")).to_have_count(0, timeout=LONG)
    idle(film.page)
    film.page.wait_for_timeout(700)
    film.to(inside(row, 0.7))
    film.hold(2 * READ)


def path(film: Film) -> None:
    """Move along the path from black to the photo; the map grows."""
    film.open("Path")
    slider = film.page.get_by_role("slider", name="Position on the path")
    expect(film.page.get_by_text("Map error below 5%")).to_be_visible(timeout=LONG)
    idle(film.page)
    film.page.wait_for_timeout(500)
    film.scroll(film.page.locator(".player"))
    film.to(inside(slider, 0.985))
    film.press()
    film.to(inside(slider, 0.01), 4)
    film.to(inside(slider, 0.985), 12)
    film.release()
    film.hold(READ)


def sanity(film: Film) -> None:
    """Randomise the network layer by layer; some maps hardly change."""
    film.open("Sanity")
    expect(film.page.get_by_text("Integrated gradients: similarity after randomising all")).to_be_visible(timeout=LONG)
    idle(film.page)
    film.page.wait_for_timeout(1000)
    film.hold(READ // 2)
    film.scroll(film.page.get_by_role("radio", name="SSIM").or_(film.page.get_by_text("SSIM", exact=True)).first)
    film.hold(2 * READ)


def learn(film: Film) -> None:
    """Change the brightness of a patch: the gradient is a slope."""
    film.open("Learn")
    film.page.get_by_role("combobox", name="Chapter").click()
    film.page.get_by_role("option", name="2. The gradient is a slope").click()
    expect(film.page.locator("h1")).to_have_text("2. The gradient is a slope")
    film.page.wait_for_timeout(1000)
    film.page.locator(".st-key-lesson-next button").click()
    slider = film.page.get_by_role("slider", name="Change of brightness")
    expect(slider).to_be_visible()
    expect(film.page.locator(".st-key-lesson-chart svg").first).to_be_visible()
    film.page.wait_for_timeout(3000)
    film.to(inside(slider, 0.5))
    film.hold()
    for _ in range(5):
        slider.press("ArrowRight")
        film.page.wait_for_timeout(600)
        film.hold(READ // 3)
    film.hold(READ)


SCENES: dict[Callable[[Film], None], str] = {  # with their captions
    explore: "Explore: which pixels led the network to its decision?",
    zoom: "All maps are linked: zoom and drag in one of them",
    other_class: "Click another class: the maps explain that one",
    probe: "Probe: cover a part; forecast of each map beside the fact",
    path: "Path: from black to the photo, the map grows",
    learn: "Learn: ten chapters, each a guess, a live figure and the answer",
    sanity: "Sanity: does a map change when the network's weights become random?",
}


def main(target: Path) -> None:
    """Film all scenes and write them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log") as (address, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        page = browser.new_page(viewport={"width": WIDE, "height": HIGH}, color_scheme="light", reduced_motion="reduce")
        page.set_default_timeout(LONG)
        page.goto(address)
        expect(map_of(page, FIRST[-1])).to_be_visible(timeout=LONG)
        idle(page)
        page.get_by_test_id("stSidebar").hover()
        page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
        page.wait_for_timeout(1500)
        film = Film(page)
        for scene, caption in SCENES.items():
            film.caption = caption
            scene(film)
        browser.close()
    film.save(target)
    size, seconds = target.stat().st_size, sum(film.durations) / 1000
    print(f"{target}: {len(film.frames)} frames, {seconds:.0f} s, {size / 1e6:.2f} MB")
    if size > LIMIT:
        sys.exit(f"More than {LIMIT / 1e6} MB; lower QUALITY or shorten a scene.")


if __name__ == "__main__":
    main(Path(__file__).with_suffix(".webp"))
