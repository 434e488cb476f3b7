"""The batch page: many photos with the model, methods, target and crop of the sidebar, as a gallery that fills."""

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image
from starlette.exceptions import HTTPException
from streamlit.runtime.scriptrunner import get_script_run_ctx

from attribution.batch.group import Row
from attribution.batch.measures import WINDOW
from attribution.batch.prototypes import Key, Prototype
from attribution.drawing.heatmap import colour, span, unit
from attribution.drawing.view import View
from attribution.methods import METHODS
from attribution.photo.cells import GRID
from attribution.photo.encode import data_url
from attribution.photo.samples import SAMPLES
from attribution.refusal import Refusal
from attribution.settings import read
from attribution.targets.target import SCORES
from attribution.ui.error_card import error_card
from attribution.ui.heading import show_heading
from attribution.ui.models import find_model
from attribution.ui.polling import poll_again
from attribution.ui.reload import empty, put, uploader_key
from attribution.ui.session import address, rerun_if_requested, rerun_page, session
from attribution.ui.sidebar import fill_sidebar
from attribution.ui.watch import JOBS
from attribution.work.analysis import estimate
from attribution.work.batch import BATCH_VARIABLE, PHOTOS_VARIABLE, Batch, BatchTask, Driven, Explained, Photos, limit
from attribution.work.jobs import Job

EXPLORE = Path(__file__).with_name("explore.py")
LANE = "batch"  # of this session's jobs; the jobs of the other pages go on beside it
UPLOADER = "batch-upload"
ENDING = ".png"  # of every upload's name, see door.py
TYPES = "jpg jpeg png webp bmp gif tif tiff heic heif zip".split()
POLL_INTERVAL = 1.0  # seconds between two looks at the job
ON_A_PAGE = 24  # photos of the gallery
CARD_WIDTH = 440  # pixels, at least
SIDE = 160  # pixels of a thumbnail
PATCHES, PROTOTYPES = 6, 4  # shown of a prototype, and of a class
MEAN_SIDE = 168  # pixels of a mean map
EVERY, FAILED = "All photos", "Not explained"
MIN_SHOWN_SECONDS = 2


class Item:
    """A photo of the gallery.

    Attributes:
        rows: Its rows, one a map; one without a method if it cannot be explained.
        first: The row with the most known of it.
    """

    def __init__(self, found: Sequence[Row]) -> None:
        self.rows = list(found)
        self.first = next((row for row in self.rows if row["picture"]), self.rows[0])

    @property
    def failed(self) -> bool:
        """True if it has no map."""
        return not self.first["picture"]

    @property
    def title(self) -> str:
        """Its number from 1, and its name as the person knows it."""
        name: str = self.first["photo"]
        number, _, rest = name.partition(" ")
        shown = rest if number.isdecimal() and rest else name.rpartition(".")[0].replace("_", " ")
        return f"{self.first['number'] + 1}. {shown}"

    def mean(self, column: str) -> float | None:
        """Return the mean of a column over its maps; None if unknown."""
        known = [row[column] for row in self.rows if row[column] is not None]
        return sum(known) / len(known) if known else None

    @property
    def delta(self) -> float | None:
        """The relative delta of its first complete map."""
        return next((row["relative_delta"] for row in self.rows if row["relative_delta"] is not None), None)


SORTS: dict[str, tuple[Callable[[Item], float | None], bool]] = {  # value, and True if the largest is first
    "Order of the photos": (lambda item: item.first["number"], False),
    "Score, lowest first": (lambda item: item.mean("score"), False),
    "Score, highest first": (lambda item: item.mean("score"), True),
    "Probability, lowest first": (lambda item: item.first["probability"], False),
    "Agreement, lowest first": (lambda item: item.mean("agreement"), False),
    "Concentration, highest first": (lambda item: item.mean("concentration"), True),
    "Delta, largest first": (lambda item: None if item.delta is None else abs(item.delta), True),
}


def take_uploads() -> None:
    """Move the files of the uploader into the session's folder, and empty it."""
    files: list[Any] = st.session_state.get(uploader_key(UPLOADER)) or []
    state, context = session(), get_script_run_ctx()
    state.batch_sentences = []
    lost = 0
    for file in files:
        if not hasattr(file, "getvalue"):  # the server had no room for all of them
            lost += 1
            continue
        state.sent = state.sent or Photos()
        try:
            if said := state.sent.add(file.name.removesuffix(ENDING), file.getvalue()):
                state.batch_sentences.append(said)
        except Refusal as refusal:
            if str(refusal) not in state.batch_sentences:
                state.batch_sentences.append(str(refusal))
        if context:
            manager: Any = context.uploaded_file_mgr
            manager.remove_file(context.session_id, file.file_id)
    if lost:
        state.batch_sentences.append(f"{lost} of {len(files)} files did not fit; add them in a second step.")
    empty(UPLOADER)


def forget_uploads() -> None:
    """Delete the uploaded photos, unless a batch still has them."""
    session().sent, session().batch_sentences = None, []


def choose_photos() -> tuple[bool, int]:
    """Show the sources; return True for the samples, and the number of photos."""
    source = st.segmented_control(
        "Photos of the batch",
        ("Samples", "Upload"),
        default="Samples",
        required=True,
        key="batch-source",
        persist_state="session",
    )
    if source == "Samples":
        return True, len(SAMPLES)
    st.file_uploader(
        "Add photos, or a ZIP of photos",
        type=TYPES,
        accept_multiple_files=True,
        max_upload_size=min(limit(BATCH_VARIABLE), st.get_option("server.maxUploadSize")),
        key=uploader_key(UPLOADER),
        on_change=take_uploads,
        help=f"Up to {limit(PHOTOS_VARIABLE)} photos and {limit(BATCH_VARIABLE)} MB. Photos and results are in a "
        "temporary folder of this server until your session ends or you remove them.",
    )
    sent: Photos | None = session().sent
    if sent and sent.names:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"{_photos(len(sent.names))}, {sent.size / 1e6:.1f} MB.")
            st.button("Remove all", on_click=forget_uploads, type="tertiary")
    return False, len(sent.names) if sent else 0


def begin(samples: bool) -> None:
    """Begin a batch in place of the last one."""
    state = session()
    JOBS.cancel(owner())
    state.batch, state.batch_sentences = None, []
    try:
        photos = Photos.of_samples() if samples else state.sent or Photos()
        state.batch = Batch(photos, state.chosen, find_model(state.chosen.model), st.session_state.device)
        submit()
    except Refusal as refusal:
        state.batch_sentences = [str(refusal)]


def submit() -> None:
    """Explain the photos of the batch that are not done."""
    batch: Batch = session().batch
    task = BatchTask(batch, owner())
    about = {"session": session().owner, "task": type(task).__name__, "model": task.model}
    try:
        batch.job = JOBS.submit(task.device, task.key, owner(), task.compute, about, address())
    except Refusal as refusal:
        session().batch_sentences = [str(refusal)]


def go_on() -> None:
    """Explain the photos that are not done; for callbacks."""
    submit()
    rerun_page()


def stop() -> None:
    """Stop the batch; what is done stays."""
    JOBS.cancel(owner())
    rerun_page()


def owner() -> str:
    """Return the id of this session, as the jobs of this page know it."""
    return f"{session().owner}:{LANE}"


def show_choice() -> None:
    """Show the photos, what would be done with them, and the button that does it."""
    samples, count = choose_photos()
    chosen = session().chosen
    with st.container(horizontal=True, vertical_alignment="center"):
        ready = count > 0 and bool(chosen.methods)
        if st.button("Explain all", type="primary", icon=":material/play_arrow:", disabled=not ready):
            begin(samples)
        record = find_model(chosen.model)
        known = [estimate(method, record, st.session_state.device) for method in chosen.methods]
        seconds = count * sum(each or 0.0 for each in known)
        time = f", about {_duration(seconds)}" if None not in known and seconds >= MIN_SHOWN_SECONDS else ""
        if not chosen.methods:
            st.text("Choose at least one method in the sidebar.")
        elif not count:
            st.text("Add photos or a ZIP; the gallery fills while they are explained.")
        else:
            methods = "1 method" if len(chosen.methods) == 1 else f"{len(chosen.methods)} methods"
            fills = "" if session().batch else " The gallery fills while they are explained."
            st.text(f"{_photos(count)}, {methods}, {record.title}{time}.{fills}")
    for sentence in session().batch_sentences:
        st.text(sentence)


@error_card()
def show_batch(polling: bool) -> None:
    """Show the state of the batch and its gallery; look again while it runs."""
    rerun_if_requested()
    batch: Batch = session().batch
    job: Job[Explained] | None = batch.job
    if job is None:
        st.button("Try again", on_click=go_on)
        return
    active = job.active and job.look(owner())
    if polling and not active:
        st.rerun()
    found = job.result or job.so_far or Explained((), 0)
    show_state(batch, job, active, found)
    items = [Item(list(each)) for _, each in groupby(found.rows, lambda row: row["number"])]
    if items:
        show_gallery(batch, items)
    elif active:
        st.skeleton(height=300)
    if items and not active:
        show_classes(batch, batch.driven(len(found.rows)))
    if active:
        session().polls += 1
        poll_again(session().polls, POLL_INTERVAL, key="poll-batch")


def show_state(batch: Batch, job: Job[Explained], active: bool, found: Explained) -> None:
    """Show what the batch is about, its progress, and the buttons."""
    analysis = batch.analysis
    classes = batch.record.facts().classes
    target = "predicted class" if analysis.target is None else classes[analysis.target]
    if analysis.versus is not None:
        target += f" against {classes[analysis.versus]}"
    st.text(
        f"{batch.record.title}, {target}, {SCORES[analysis.score].title.lower()}: "
        + ", ".join(method.title for method in analysis.methods)
    )
    with st.container(horizontal=True, vertical_alignment="center", key="batch-state"):
        if active:
            left = (batch.count - found.done) / found.pace if found.pace else 0.0
            time = f", about {_duration(left)} left" if left >= MIN_SHOWN_SECONDS else ""
            others = f"; shared with {JOBS.others(job)} other analyses" if JOBS.others(job) else ""
            waits = "Queued" if job.state == "queued" else job.message or "Starting"
            st.progress(job.fraction, text=waits + time + others)
            st.button("Stop", icon=":material/stop:", on_click=stop)
        elif found.finished:
            explained = len({row["number"] for row in found.rows if row["picture"]})
            some = "" if explained == batch.count else f"{explained} of "
            st.text(f"{some}{_photos(batch.count)} explained.")
        else:
            why = job.sentence if job.state == "failed" else "Stopped."
            st.text(f"{why} {found.done} of {batch.count} photos are done.")
            st.button("Continue", icon=":material/play_arrow:", on_click=go_on)
        if found.done:
            st.download_button(
                "Download",
                lambda: _archived(batch),
                "attribution-batch.zip",
                on_click="ignore",
                icon=":material/download:",
                help="A ZIP with the table as CSV and Parquet, the gallery as HTML, the maps, and the settings. Of a "
                "photo it contains what the network saw, and its file name in the table.",
            )


def _archived(batch: Batch) -> bytes:
    file = io.BytesIO()
    batch.archive(file)
    return file.getvalue()


def show_first_page() -> None:
    """Return to the first photos, since their order has changed."""
    if "batch-page" in st.session_state:
        st.session_state["batch-page"] = 1


def show_gallery(batch: Batch, items: Sequence[Item]) -> None:
    """Show the photos with their maps, sorted and filtered."""
    classes: dict[str, int] = {}
    for item in items:
        if not item.failed:
            classes[_class(item)] = classes.get(_class(item), 0) + 1
    failed = sum(item.failed for item in items)
    options = [EVERY, *([FAILED] if failed else []), *sorted(classes, key=lambda name: (-classes[name], name))]
    with st.container(horizontal=True, vertical_alignment="bottom", key="batch-controls"):
        if st.session_state.get("batch-shown") not in options:
            st.session_state["batch-shown"] = EVERY
        shown = st.selectbox("Show", options, key="batch-shown", width=260, on_change=show_first_page)
        order = st.selectbox(
            "Sort by", list(SORTS), key="batch-order", persist_state="session", width=260, on_change=show_first_page
        )
    chosen = [item for item in items if shown in (EVERY, FAILED if item.failed else _class(item))]
    value, falls = SORTS[order]
    unknown = math.inf
    chosen.sort(key=lambda item: unknown if (found := value(item)) is None else -found if falls else found)
    pages = max(1, math.ceil(len(chosen) / ON_A_PAGE))
    page = min(st.session_state.get("batch-page", 1), pages)
    st.text(_photos(len(chosen)))
    with st.grid("auto", min_column_width=CARD_WIDTH):
        for item in chosen[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]:
            with st.container(border=True, key=f"batch-card-{item.first['number']}", gap="xsmall"):
                show_card(batch, item)
    if pages > 1:
        if st.session_state.get("batch-page", page) != page:
            st.session_state["batch-page"] = page
        st.pagination(pages, key="batch-page")


def show_card(batch: Batch, item: Item) -> None:
    """Show a photo with its maps and numbers."""
    number = item.first["number"] + 1
    if item.failed:
        st.text(f"{item.title}\n{item.first['refusal']}")
        return
    pictures = [(_thumbnail(batch, f"{_folder(item)}/photo.jpg"), f"Photo {number}", "Photo")]
    for row in item.rows:
        if row["picture"]:
            title = read(row["method"], METHODS).title
            pictures.append((_thumbnail(batch, row["picture"]), f"{title} map of photo {number}", title))
    _strip(pictures)
    first, score = item.first, batch.analysis.score
    is_predicted, counts = first["target"] == first["predicted"], first["predicted"] is not None
    predicted = f"{first['predicted_class']}, {first['probability']:.1%}" if counts else first["predicted_class"]
    explained = "" if is_predicted else f"\nExplaining: {first['target_class']}"
    repeats = is_predicted and counts and score == "probability" and batch.analysis.versus is None
    numbers = [] if repeats else [f"{SCORES[score].title.lower()} {first['score']:.3g}"]
    if item.delta is not None:
        numbers.append(f"delta {item.delta:.1%}")
    if (agreement := item.mean("agreement")) is not None:
        numbers.append(f"agreement of the maps {agreement:.2f}")
    refused = "".join(f"\n{row['refusal']}" for row in item.rows if row["refusal"])
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        st.text(f"{item.title}\n{predicted}{explained}\n{', '.join(numbers)}{refused}".strip(), width="stretch")
        st.button(
            "Open in Explore",
            key=f"batch-open-{first['number']}",
            icon=":material/compare:",
            on_click=open_in_explore,
            args=(batch, first["photo"]),
        )


def open_in_explore(batch: Batch, name: str) -> None:
    """Set the sidebar to a photo of the batch and its settings; for callbacks."""
    try:
        if batch.photos.samples:
            photo = name.rpartition(".")[0]
        else:
            put("Upload", batch.photo(name))
            photo = "upload"
    except HTTPException as refused:
        session().batch_sentences = [str(refused.detail)]
    except Refusal as refusal:
        session().batch_sentences = [str(refusal)]
    else:
        fill_sidebar(replace(batch.analysis, photo=photo))
        session().opening = True
    rerun_page()


def show_classes(batch: Batch, driven: Driven) -> None:
    """Show what drives a class: the prototypes and the mean maps."""
    means = driven.means
    if not means:
        return
    st.header("What drives a class")
    keys = list(means)
    counts = {key: max(each.count for each in means[key].values()) for key in keys}
    keys.sort(key=lambda key: -counts[key])
    names = {_key_text(key): key for key in keys}
    if st.session_state.get("batch-class") not in names:
        st.session_state["batch-class"] = next(iter(names))
    chosen = st.selectbox(
        "Class",
        list(names),
        format_func=lambda text: f"{names[text][1]} ({_photos(counts[names[text]])})",
        key="batch-class",
        width=320,
    )
    key = names[chosen]
    for number, each in enumerate(driven.prototypes.get(key, ())[:PROTOTYPES], 1):
        show_prototype(batch, driven, each, number)
    st.subheader("Mean maps")
    pictures = []
    for method, mean in means[key].items():
        title = read(method, METHODS).title
        view = View().of(bool((mean.cells < 0).any()))
        drawn = colour(unit(mean.cells, span(mean.cells, view.clip, view.signed)), view.palette)
        url = data_url(Image.fromarray(drawn).resize((MEAN_SIDE, MEAN_SIDE), Image.Resampling.NEAREST))
        pictures.append((url, f"Mean map of {title} over {_photos(mean.count)}", title))
    _strip(pictures)
    st.caption(
        f"A prototype is a group of similar patches, each the strongest window of a {batch.plan.leading.title} map, "
        "clustered by the network's own features (after ACE, Ghorbani et al. 2019, arXiv:1902.03129). Every map counts "
        "equally in a mean map. The agreement of a photo's maps is their mean rank correlation."
    )


def show_prototype(batch: Batch, driven: Driven, prototype: Prototype, number: int) -> None:
    """Show the most typical patches of a prototype."""
    error = "" if prototype.error is None else f" (standard error {prototype.error:.2g})"
    st.subheader(f"Prototype {number}")
    moves = "raises" if prototype.loss < 0 else "lowers"
    average = " on average" if len(prototype.rows) > 1 else ""
    st.text(
        f"{_photos(len(prototype.rows))} ({prototype.share:.0%}); blurring the patch {moves} the score by "
        f"{abs(prototype.loss):.2g}{average}{error}."
    )
    pictures = []
    for row in prototype.rows[:PATCHES]:
        photo, left, top = (column[row].as_py() for column in driven.places.columns)
        with Image.open(io.BytesIO(batch.storage.read(f"photos/{photo:06}/photo.jpg"))) as image:
            width, height = image.size
            box = (left * width, top * height, (left + WINDOW) * width, (top + WINDOW) * height)
            patch = image.convert("RGB").resize((SIDE, SIDE), box=tuple(each / GRID for each in box))
        pictures.append((_url(patch), f"Patch of photo {photo + 1}", f"Photo {photo + 1}"))
    _strip(pictures)


def _strip(pictures: Sequence[tuple[str, str, str]]) -> None:
    """Show pictures with captions of the page's own words; names of photos and classes are not HTML."""
    figures = "".join(
        f'<figure><img src="{url}" alt="{escape(alt)}"><figcaption>{escape(title)}</figcaption></figure>'
        for url, alt, title in pictures
    )
    st.html(f'<div class="batch-strip">{figures}</div>')


def _thumbnail(batch: Batch, name: str) -> str:
    """Return a small copy of a picture of the batch, as a data URL; kept with the batch."""
    if name not in batch.thumbnails:
        with Image.open(io.BytesIO(batch.storage.read(name))) as image:
            batch.thumbnails[name] = _url(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
    return batch.thumbnails[name]


def _url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _folder(item: Item) -> str:
    return f"photos/{item.first['number']:06}"


def _class(item: Item) -> str:
    return str(item.first["target_class"])


def _key_text(key: Key) -> str:
    return f"{key[0]} {key[1]}"


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def settle() -> None:
    """Let the page ask for the number of the tab, by which a reload finds the batch again, after the first run.

    An event during the first run interrupts it, and the browser then resets the lists of the sidebar.
    """
    session().settled += 1
    if session().settled > 1:
        st.rerun()
    poll_again(0, POLL_INTERVAL / 2, key="poll-settled")


if session().opening:
    session().opening = False
    st.switch_page(EXPLORE)
show_heading("Explain many photos")
show_choice()
if session().batch:
    st.fragment(show_batch)(session().batch.job is not None and session().batch.job.active)
if session().settled < 2:
    st.fragment(settle)()
