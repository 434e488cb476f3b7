"""The log of the server and the card on the page: one id in both, one line a record, nothing of the user's."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.runtime.scriptrunner import RerunException, StopException
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.testing.v1 import AppTest

from attribution.system.incident import report
from attribution.system.log import start_log
from attribution.ui import share, sidebar
from attribution.ui.error_card import error_card

ROOT = Path(__file__).parents[1]
TIME = r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"


@pytest.fixture(autouse=True)
def _started() -> Iterator[None]:
    logger, jobs = logging.getLogger("attribution"), logging.getLogger("attribution.work.jobs")
    before = logger.handlers.copy(), jobs.level
    start_log()
    yield
    logger.handlers, jobs.level = before


def test_a_job_is_one_line_of_parts(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"session": "ab12", "task": "Analysis", "model": "squeezenet1_1", "state": "done", "seconds": 1.25}
    logging.getLogger("attribution.work.jobs").info("job ended", extra=said)
    line = 'level=info event="job ended" session=ab12 task=Analysis model=squeezenet1_1 state=done seconds=1.25'
    assert re.fullmatch(f"{TIME} {re.escape(line)}\n", capsys.readouterr().err)


def test_what_is_not_listed_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("attribution.work.jobs").info(
        "job ended", extra={"photo": "me.jpg", "pixels": b"\1\2", "state": ""}
    )
    assert re.fullmatch(f'{TIME} level=info event="job ended"\n', capsys.readouterr().err)


def test_a_line_stays_one_line_whatever_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    extra = {"model": 'a "model"\ntime=now level=info'}
    logging.getLogger("attribution.work.jobs").warning("two\nlines", extra=extra)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert r'event="two\nlines" model="a \"model\"\ntime=now level=info"' in err


def test_starting_again_prints_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        start_log()
    logging.getLogger("attribution.work.jobs").info("once")
    assert capsys.readouterr().err.count("\n") == 1


def test_an_incident_is_a_sentence_with_the_id_under_which_the_log_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = report(ZeroDivisionError("secret"), "The map is lost", session="ab12")
    found = re.fullmatch(r"The map is lost \(error ([0-9a-f]{8})\); details are in the server log\.", sentence)
    assert found
    lines = capsys.readouterr().err.splitlines()
    assert f'level=error event="error {found[1]}" session=ab12' in lines[0]
    assert lines[-1] == "ZeroDivisionError: secret"


def opened() -> AppTest:
    return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()


@pytest.mark.parametrize("where", [(sidebar, "_model"), (share, "show_link")], ids=["sidebar", "page"])
def test_an_unexpected_error_gives_a_card_with_an_id_and_without_its_text(
    where: tuple[object, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(*where, fail)
    app = opened()
    (card,) = app.exception
    found = re.fullmatch(
        r"This page could not be shown \(error ([0-9a-f]{8})\); details are in the server log\. "
        r"Reload the page to continue\.",
        card.message,
    )
    assert found
    assert not card.stack_trace
    assert not app.session_state["session"].watches  # the run ended there
    assert f"error {found[1]}" in caplog.text
    assert "/secret/path" in caplog.text


def test_the_next_run_is_as_if_nothing_had_been(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(share, "show_link", fail)
        app = opened()
        assert len(app.exception) == 1
    app.run()
    assert not app.exception
    assert app.selectbox(key="model").value == "squeezenet1_1"
    while app.session_state["session"].watches["explore"].job.active:  # a process must not end while torch works
        app.run()


@pytest.mark.parametrize("signal", [StopException(), RerunException(RerunData())])
def test_streamlits_own_signals_pass(signal: BaseException) -> None:
    with pytest.raises(type(signal)), error_card():
        raise signal
