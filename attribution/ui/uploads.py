"""Where an upload lies while it is being received."""

import streamlit as st
from starlette.formparsers import MultiPartParser


def keep_uploads_in_memory() -> None:
    """Have the server write no upload to a temporary file, as it otherwise does with those of more than 1 MB."""
    MultiPartParser.spool_max_size = 1 + st.get_option("server.maxUploadSize") * 1024 * 1024  # bytes
