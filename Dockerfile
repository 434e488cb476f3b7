# The dashboard on a server: embedded models only, no download at the start, no root. How to run it: docs/running.md.
FROM python:3.12-slim

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt
COPY . .
RUN python -m compileall -q attribution && useradd --uid 1000 --create-home attribution

USER 1000
# The build ends here where no map can be computed.
RUN python -m attribution check --device cpu

# Without its welcome message Streamlit does not ask another server for the address of this one.
ENV STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501 \
    STREAMLIT_SERVER_HEADLESS=true \
    STREAMLIT_LOGGER_HIDE_WELCOME_MESSAGE=true \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 8501

# Not `attribution check`, which would start PyTorch anew, beside the jobs, at every look.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "streamlit_app.py"]
