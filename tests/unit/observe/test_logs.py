from __future__ import annotations

import json
import logging

import pytest

from alerting.observe.logs import configure, logger


def fail(endpoint: str) -> None:
    text = f"for {endpoint}"
    raise RuntimeError(len(text))


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_address_is_logged(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", form)
    log = logger("test")
    # Not written out, because a traceback shows lines of source.
    number = "+" + str(447700900123)
    log.info("sent", endpoint=number, delivery=7)
    try:
        fail(number)
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("library").exception("failed too")
    lines = capsys.readouterr().err
    assert "447700900123" not in lines
    assert "[hidden]" in lines
    assert "RuntimeError" in lines


def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    logging.getLogger("library").warning("hello %s", "you")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("hello you", "warning")


def fail_with(words: str) -> None:
    raise RuntimeError(words)


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_value_can_forge_a_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", form)
    forged = "x\n2026-11-27T00:00:00Z [info     ] FAKE\r\x1b[2J"
    logger("test").info("request.failed", route=forged)
    logging.getLogger("library").warning("route %s", forged)
    try:
        fail_with(forged)
    except RuntimeError:
        logger("test").exception("failed")
    lines = capsys.readouterr().err.splitlines()
    assert not [line for line in lines if line.startswith("2026-11-27T00:00:00Z [info")]
    assert not any("\x1b[2J" in line for line in lines)
