"""Folders, zips, feeds and garbage become one trace in the order of `sent`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from traces import an_alert

from alerting.cap import to_xml
from alerting.errors import BadInput
from alerting.replay import trace as module
from alerting.replay.trace import read_trace

FIRST, SECOND, THIRD = (an_alert(name, at_s=at) for name, at in (("a", 0), ("b", 60), ("c", 60)))


def _names(paths: list[Path], **more: Path) -> list[str]:
    return [p.alert.identifier for p in read_trace(paths, **more).played]


def test_folder_plays_by_sent_then_file_name(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "9.xml").write_bytes(to_xml(FIRST))
    (tmp_path / "deep" / "z.cap").write_bytes(to_xml(SECOND))
    (tmp_path / "a.xml").write_bytes(to_xml(THIRD))
    assert _names([tmp_path]) == ["a", "c", "b"]


def test_zip_with_truth_and_readme(tmp_path: Path) -> None:
    path = tmp_path / "day.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README", "Not an alert.")
        archive.writestr("index.jsonl", '{"some": "thing"}\n')
        archive.writestr("in/2.xml", to_xml(SECOND))
        archive.writestr("in/1.xml", to_xml(FIRST))
        line = {"file": "1.xml", "identifier": "a", "incident": 7}
        archive.writestr("truth.jsonl", json.dumps(line) + "\n")
    trace = read_trace([path])
    assert [p.alert.identifier for p in trace.played] == ["a", "b"]
    assert (trace.refused, trace.ignored) == ([], 2)
    assert trace.truth.incident("in/1.xml", "a") == "7"
    assert not trace.truth.knows("in/2.xml", "b")


def test_feed_keeps_its_order_for_ties(tmp_path: Path) -> None:
    entries = b"".join(
        b"<entry><content>" + to_xml(a).partition(b"?>")[2] + b"</content></entry>"
        for a in (THIRD, SECOND, FIRST)
    )
    link = b'<entry><link href="https://example.org/cap/1"/></entry>'
    feed = b'<feed xmlns="http://www.w3.org/2005/Atom">' + entries + link + b"</feed>"
    (tmp_path / "f.atom").write_bytes(feed)
    trace = read_trace([tmp_path / "f.atom"])
    assert [p.alert.identifier for p in trace.played] == ["a", "c", "b"]
    assert [r.reason for r in trace.refused] == [
        "It names 1 alerts by link only; nothing is fetched."
    ]


def test_garbage_is_counted_alone(tmp_path: Path) -> None:
    (tmp_path / "1.xml").write_bytes(b"\x00\xff garbage")
    (tmp_path / "2.xml").write_bytes(b"<alert><identifier>torn")
    (tmp_path / "3.xml").write_bytes(to_xml(FIRST))
    (tmp_path / "4.json").write_bytes(b'{"no": "alert"}')
    (tmp_path / "notes.txt").write_bytes(b"Buy milk.")
    trace = read_trace([tmp_path])
    assert [p.alert.identifier for p in trace.played] == ["a"]
    assert [r.file for r in trace.refused] == ["1.xml", "2.xml", "4.json"]
    assert all(r.reason for r in trace.refused)
    assert trace.ignored == 1


def test_named_file_is_read_whatever_its_extension(tmp_path: Path) -> None:
    path = tmp_path / "alert.txt"
    path.write_bytes(to_xml(FIRST))
    assert _names([path]) == ["a"]


def test_same_alert_in_two_paths_is_played_twice(tmp_path: Path) -> None:
    for name in ("1.xml", "2.xml"):
        (tmp_path / name).write_bytes(to_xml(FIRST))
    assert _names([tmp_path / "1.xml", tmp_path / "2.xml"]) == ["a", "a"]


@pytest.mark.parametrize("name", ["none.xml", "none.zip", "none"])
def test_missing_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        read_trace([tmp_path / name])


def test_broken_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(BadInput, match="no readable zip"):
        read_trace([tmp_path / "x.zip"])


def test_nothing_readable_says_why(tmp_path: Path) -> None:
    (tmp_path / "1.xml").write_bytes(b"<!DOCTYPE x><alert/>")
    with pytest.raises(BadInput, match=r"Not one CAP alert .* 1\.xml: .*DOCTYPE"):
        read_trace([tmp_path])


def test_bad_truth_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "1.xml").write_bytes(to_xml(FIRST))
    truth = tmp_path / "mine.jsonl"
    truth.write_text('{"identifier": "a", "incident": "x"}\n{"identifier": "b"}\n')
    with pytest.raises(BadInput, match=r"mine\.jsonl, line 2"):
        read_trace([tmp_path / "1.xml"], truth=truth)


def test_real_files_of_every_kind_are_read(corpus: Path) -> None:
    trace = read_trace([corpus / "corpus"])
    assert len(trace.played) > 1000
    sent = [p.alert.sent for p in trace.played]
    assert sent == sorted(sent)
    assert any("xee" in r.file for r in trace.refused)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FILES", 2)
    for name in "ab":
        (tmp_path / f"{name}.xml").write_bytes(to_xml(FIRST))
    assert len(_names([tmp_path])) == 2
    (tmp_path / "c.xml").write_bytes(to_xml(SECOND))
    with pytest.raises(BadInput, match="holds more than 2 files"):
        read_trace([tmp_path])


def test_too_large_file_is_named_and_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 5_000)
    (tmp_path / "small.xml").write_bytes(to_xml(FIRST))
    (tmp_path / "large.xml").write_bytes(to_xml(SECOND) + b" " * 5_000)
    trace = read_trace([tmp_path])
    assert [p.file for p in trace.played] == ["small.xml"]
    assert [(r.file, r.reason) for r in trace.refused] == [("large.xml", "The file is too large.")]
