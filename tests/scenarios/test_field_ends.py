"""The field's inputs on how dangers end: what carriers receive, and what a replay sees."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from field import Field, got, identifier, played
from labour import idle
from naming import call_off

from alerting.cap import read, to_xml
from alerting.domain.alert import Alert, MsgType
from alerting.domain.principal import internal
from alerting.errors import Conflict

LETTERS = "abcdefgh"
PARTS = {"A and B": ("1-alert-AB", "2-cancel-A", "3-update-B", "1A", "1B"),
           "C and D": ("r1-alert-CD", "r3-cancel-C", "r2-update-D", "1C", "1D")}  # fmt: skip


async def test_update_already_expired_ends_the_danger(inputs: Field, tmp_path: Path) -> None:
    await inputs.open("over-at-issue")
    documents = [inputs.text("1-alert"), inputs.text("2-update-over")]
    for document in documents:
        await inputs.submit(document)
    assert inputs.heard("P-1") == "do"
    found, lines = await played(documents, inputs.folder / "reg.csv", tmp_path)
    assert got(lines, "P-1") == [("oai-1", "new"), ("oai-2", "ended")]
    assert found["state_changes"] == 2


@pytest.mark.parametrize("which", PARTS)
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)], ids=["cancel first", "update first"])
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])
@pytest.mark.parametrize("one_second", [False, True], ids=["later", "one second"])
async def test_partial_cancel_ends_only_its_part(
    inputs: Field,
    tmp_path: Path,
    which: str,
    order: tuple[int, ...],
    at_once: bool,
    one_second: bool,
) -> None:
    *names, here, there = PARTS[which]
    register = "reg.csv" if which == "A and B" else "reg2.csv"
    await inputs.open("partial-cancel", register)
    documents = [inputs.text(names[n]) for n in order]
    if one_second:
        documents = _in_one_second(documents)
    await inputs.submit(documents[0])
    for document in documents[1:]:
        await inputs.submit(document, quiet=not at_once)
    await idle(inputs.harness)
    assert inputs.heard(here) == "do"
    assert set(inputs.heard(there)) == {"d"}
    if at_once or one_second:
        return
    _, lines = await played(documents, inputs.folder / register, tmp_path)
    assert [why for _, why in got(lines, here)] == ["new", "ended"]
    cancel = identifier(inputs.text(names[1]))
    assert cancel not in {name for name, _ in got(lines, there)}


def _in_one_second(documents: Sequence[str]) -> list[str]:
    """The alert is dated as what refers to it."""
    first, last = (re.findall(r"<sent>(.*?)</sent>", documents[n])[0] for n in (0, 1))
    return [d.replace(first, last) for d in documents]


@pytest.mark.parametrize("letter", LETTERS)
async def test_slightly_wrong_reference_ends_its_alert(
    inputs: Field, tmp_path: Path, letter: str
) -> None:
    await inputs.open("broken-references")
    [first] = inputs.folder.glob(f"{letter}-*-1-alert.xml")
    [last] = inputs.folder.glob(f"{letter}-*-2-cancel.xml")
    documents = [first.read_text("utf-8"), last.read_text("utf-8")]
    for document in documents:
        await inputs.submit(document)
    assert {other: inputs.heard(f"2{other}") for other in LETTERS} == {
        other: "do" if other == letter else "" for other in LETTERS
    }
    _, lines = await played(documents, inputs.folder / "reg.csv", tmp_path)
    assert [why for _, why in got(lines, f"2{letter}")] == ["new", "ended"]


async def test_many_live_alerts_end_by_their_own_cancel(inputs: Field, tmp_path: Path) -> None:
    await inputs.open("broken-references")
    firsts = sorted(inputs.folder.glob("*-1-alert.xml"))
    lasts = sorted(inputs.folder.glob("*-2-cancel.xml"))
    documents = [path.read_text("utf-8") for path in (*firsts, *lasts)]
    for document in documents:
        await inputs.submit(document)
    assert {other: inputs.heard(f"2{other}") for other in LETTERS} == dict.fromkeys(LETTERS, "do")
    _, lines = await played(documents, inputs.folder / "reg.csv", tmp_path)
    for other in LETTERS:
        assert [why for _, why in got(lines, f"2{other}")] == ["new", "ended"]


async def test_reused_identifier_is_one_danger_with_versions(inputs: Field, tmp_path: Path) -> None:
    await inputs.open("identifier-reused")
    names = ("1-alert", "2-same-id-new-sent-graver", "3-same-id-new-sent-allclear")
    documents = [inputs.text(n) for n in names]
    for document in documents:
        await inputs.submit(document)
    assert inputs.heard("6A") == "ddo"
    last = re.findall(r"<sent>.*?</sent>", documents[-1])[0]
    other = re.sub(r"<sent>.*?</sent>", last, inputs.text("4-same-triple-other-content"))
    with pytest.raises(Conflict):
        await inputs.submit(other)
    assert inputs.heard("6A") == "ddo"
    _, lines = await played(documents, inputs.folder / "reg.csv", tmp_path)
    assert [why for _, why in got(lines, "6A")] == ["new", "escalated", "ended"]


@pytest.mark.parametrize("same", [False, True], ids=["a number changes", "the very same"])
async def test_reused_identifier_interrupts_once(inputs: Field, tmp_path: Path, same: bool) -> None:
    await inputs.open("identifier-reused")
    documents = [inputs.text(f"rolling-0{n}") for n in range(5)]
    if same:
        words = re.findall(r"<description>.*?</description>", documents[0])[0]
        documents = [re.sub(r"<description>.*?</description>", words, d) for d in documents]
    for document in documents:
        await inputs.submit(document)
    assert inputs.heard("6A") == "d"
    _, lines = await played(documents, inputs.folder / "reg.csv", tmp_path)
    interrupted = [x for x in lines if x["citizen"] == "6A" and x["outcome"] == "sent"]
    # Once more before the end they were told, for each version lasts longer.
    assert [x["reason"] for x in interrupted] == ["new", "extended"]


@pytest.mark.parametrize("by_name", [True, False], ids=["by name", "each by id"])
async def test_duplicate_submission_ends_once(inputs: Field, tmp_path: Path, by_name: bool) -> None:
    await inputs.open("double-submission")
    documents = [inputs.text("1-alert"), inputs.text("2-same-again")]
    ids = []
    for document in documents:
        await inputs.at(read(document.encode()).alerts[0].sent)
        ids.append((await inputs.harness.submit(document.encode(), now=False)).alert_id)
        await idle(inputs.harness)
    await inputs.at(inputs.harness.clock.now() + timedelta(minutes=3))
    for name in ["ds-1"] if by_name else ids:
        await call_off(inputs.harness, name, by=internal("test"), false_alarm=True)
        await idle(inputs.harness)
    assert inputs.heard("P-1") == "do"
    cancel = to_xml(_cancel_of(read(documents[1].encode()).alerts[0])).decode()
    _, lines = await played([*documents, cancel], inputs.folder / "reg.csv", tmp_path)
    assert got(lines, "P-1") == [("ds-1", "new"), ("ds-1-cancel", "ended")]


def _cancel_of(alert: Alert) -> Alert:
    return replace(
        alert,
        identifier=f"{alert.identifier}-cancel",
        sent=alert.sent + timedelta(minutes=3),
        msg_type=MsgType.CANCEL,
        references=(alert.triple,),
    )
