"""The photo of a session: its sources in the sidebar, and its crop."""

import hashlib
import math
from dataclasses import dataclass, field, replace

import streamlit as st
from PIL import Image

from attribution.photo.crop import CENTRE, FIT, WHOLE, Crop, Size
from attribution.photo.decode import MAX_BYTES, MAX_PIXELS, open_image
from attribution.photo.encode import eight_bit
from attribution.photo.preprocessing import Box, Preprocessing
from attribution.photo.samples import SAMPLES, open_sample, sample_title
from attribution.refusal import Refusal
from attribution.ui.crop.crop import show_crop
from attribution.ui.reload import keep, remove, uploader_key
from attribution.ui.session import Upload, session
from attribution.work.cache import PHOTO_STORE, Recent
from attribution.work.shared import GONE, LIFETIME, SHARED_PHOTOS, Preparations, Prepared

_photos: Recent[Image.Image | Refusal] = Recent("photos", PHOTO_STORE)
SOURCES = ("Samples", "Upload", "Camera")
SHARED = "Shared"  # a fourth source, while a link with a shared photo is open
SHARED_PREFIX = "shared:"  # of the photo's name in a link
OWN_SIZE = 0  # size of a crop that is the network's own


@dataclass(frozen=True, eq=False)
class Photo:
    """The photo of this session.

    Attributes:
        name: Identifier.
        title: Title.
        image: Pixels.
        crops: Crops of a shared photo, of which there is no more than them.
    """

    name: str
    title: str
    image: Image.Image
    crops: Preparations = field(default_factory=dict)

    def crop(self, steps: Preprocessing, across: float, down: float, size: Size) -> Prepared:
        """Return what a network with this preprocessing sees; position and size as for `Preprocessing.box`."""
        if not self.crops:
            return Prepared(steps.prepare(self.image, across, down, size), steps.box(self.image, across, down, size))
        first = next(iter(self.crops.values()))
        whole = replace(steps, resize=steps.size)  # the shared crop, without cropping it again
        return self.crops.get(steps) or Prepared(whole.prepare(self.image), first.box)


def saved_size(box: Box) -> tuple[int, int]:
    """Return the size, (H, W), at which a picture of a crop is saved: its own, but no more pixels than a photo has."""
    left, top, right, bottom = box
    shrink = min(1.0, math.sqrt(MAX_PIXELS / ((right - left) * (bottom - top))))
    return max(1, round(shrink * (bottom - top))), max(1, round(shrink * (right - left)))


def sources() -> tuple[str, ...]:
    """Return the sources that are offered."""
    return (*SOURCES, SHARED) if session().shared else SOURCES


def photo_name() -> str:
    """Return the name of the chosen photo in links."""
    state = st.session_state
    if state.source == SHARED:
        return f"{SHARED_PREFIX}{session().shared}"
    return str(state.sample if state.source == "Samples" else state.source.lower())


def choose_photo() -> Photo | None:
    """Show the sources of photos; return the photo, or None if there is none yet."""
    source = st.segmented_control("Photo", sources(), required=True, key="source", width="stretch", on_change=_centre)
    if source == "Samples":
        session().upload = None
        name = st.selectbox(
            "Sample photo",
            list(SAMPLES),
            format_func=sample_title,
            key="sample",
            label_visibility="collapsed",
            on_change=_centre,
        )
        return Photo(name, sample_title(name), open_sample(name))
    if source == SHARED:
        session().upload = None
        if not (crops := SHARED_PHOTOS.get(session().shared)):
            raise Refusal(GONE)
        st.caption(
            f"From a link: the crop that the network sees. Deleted {LIFETIME / 3600:.0f} hours after it was shared."
        )
        image = Image.fromarray(eight_bit(next(iter(crops.values())).x.numpy()))
        return Photo(session().shared, "Shared photo", image, crops)
    if source == "Upload":
        upload = st.file_uploader(
            "Upload a photo",
            type=["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "heic", "heif"],
            max_upload_size=MAX_BYTES // 1_000_000,
            key=uploader_key("upload"),
            help="Up to 30 MB and 40 megapixels. Kept in this server's memory only; previews and maps stay there until "
            "newer ones replace them.",
            on_change=_replaced,
            args=(source,),
        )
    else:
        upload = st.camera_input("Take a photo", key="camera", on_change=_replaced, args=(source,))
    if (data := keep(str(source), upload)) is None:
        session().upload = None
        return None
    content = hashlib.sha256(data).hexdigest()
    return Photo(content, "Your photo" if source == "Upload" else "Your camera photo", _decoded(content, data))


def _decoded(content: str, data: bytes) -> Image.Image:
    """Return a decoded upload; cached for this session until evicted.

    Args:
        content: SHA-256 of the file; file ids are chosen by browsers and not trusted.
        data: The encoded file.
    """
    state = session()
    key = state.owner, content
    if state.upload is None or state.upload.key != key:
        state.upload = Upload(key)
        _photos.drop_with(state.upload, key)
    if (found := _photos.get(key)) is None:
        try:
            found = open_image(data)
        except Refusal as refusal:  # cached too: refusing can take as long as decoding
            found = Refusal(str(refusal))
        _photos.put(key, found)
    if isinstance(found, Refusal):
        raise Refusal(str(found))
    return found


def edit_crop(photo: Photo, preprocessing: Preprocessing) -> None:
    """Show the crop, which can be moved and resized on the photo."""
    show_crop(photo.image, photo.name, preprocessing, chosen_crop(), _move)
    if not st.session_state.fit:
        st.caption("The network sees only the square. Drag it to move it, or a corner to resize it.")
    elif min(preprocessing.box(photo.image, size=FIT)) < 0:
        st.caption("The network sees the whole photo. Bars in the mean colour fill the square.")
    else:
        st.caption("The network sees the whole photo.")
    st.toggle("Fit the whole photo", key="fit", persist_state="session")


def chosen_crop() -> Crop:
    """Return the crop that the sidebar shows."""
    state = st.session_state
    if state.source == SHARED:  # a part of a photo that is not here
        return session().shared_crop
    return WHOLE if state.fit else Crop(float(state.across), float(state.down), float(state.size) or None)


def _move(crop: Crop) -> None:
    state = st.session_state
    state.across, state.down, state.size = round(crop.across), round(crop.down), round(float(crop.size or OWN_SIZE))


def _centre() -> None:
    """Centre the crop of a new photo, and give it its usual size, unless a link set it; "fit" stays."""
    if not session().keep_crop:
        _move(CENTRE)
    session().keep_crop = False


def _replaced(source: str) -> None:
    remove(source)
    _centre()
