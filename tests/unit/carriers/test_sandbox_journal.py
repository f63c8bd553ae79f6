"""The log is the judge: what it holds was accepted, whole lines only."""

from __future__ import annotations

import asyncio

import pytest

from alerting.embedded.carriers import journal as journal_module
from alerting.embedded.carriers import log_path, read_log
from alerting.embedded.carriers.journal import Journal
from alerting.errors import BadInput


@pytest.fixture
async def journal(var):
    journal = Journal(log_path(var, "sms"))
    journal.open()
    yield journal
    await journal.close()


async def test_append_returns_after_sync(var, journal):
    async def put(n: int) -> None:
        await journal.append(b'{"n":%d}\n' % n)
        assert any(line["n"] == n for line in read_log(var, "sms"))

    await asyncio.gather(*[put(n) for n in range(50)])
    assert sorted(line["n"] for line in read_log(var, "sms")) == list(range(50))


async def test_one_sync_serves_many(var, journal, monkeypatch):
    syncs = 0
    real = journal_module._sync

    def counted(file: int) -> None:
        nonlocal syncs
        syncs += 1
        real(file)

    monkeypatch.setattr(journal_module, "_sync", counted)
    await asyncio.gather(*[journal.append(b"{}\n") for _ in range(500)])
    assert len(list(read_log(var, "sms"))) == 500
    assert 1 <= syncs < 50


async def test_torn_line_is_cut_off_at_start(var):
    path = log_path(var, "sms")
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"n":1}\n{"n":2}\n{"n":3' + b"x" * 200_000)
    assert [line["n"] for line in read_log(var, "sms")] == [1, 2]
    journal = Journal(path)
    journal.open()
    await journal.append(b'{"n":4}\n')
    await journal.close()
    assert [line["n"] for line in read_log(var, "sms")] == [1, 2, 4]
    assert path.read_bytes() == b'{"n":1}\n{"n":2}\n{"n":4}\n'


async def test_log_of_one_torn_line_becomes_empty(var):
    path = log_path(var, "push")
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"n":')
    journal = Journal(path)
    journal.open()
    await journal.close()
    assert path.read_bytes() == b""


async def test_failed_write_is_reported_and_rolled_back(var, journal, monkeypatch):
    await journal.append(b'{"n":1}\n')

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_sync", full)
        results = await asyncio.gather(
            *[journal.append(b'{"n":2}\n') for _ in range(3)], return_exceptions=True
        )
    assert all(isinstance(r, OSError) for r in results)
    await journal.append(b'{"n":3}\n')
    assert [line["n"] for line in read_log(var, "sms")] == [1, 3]


async def test_cancelled_append_disturbs_nobody(var, journal):
    waiting = [asyncio.create_task(journal.append(b"{}\n")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await waiting[0]
    await waiting[2]
    assert len(list(read_log(var, "sms"))) == 3


async def test_two_writers_never_share_a_log(var, journal):
    second = Journal(log_path(var, "sms"))
    with pytest.raises(BadInput, match="Other carriers already write"):
        second.open()
    await second.close()
    await journal.append(b"{}\n")
    assert len(list(read_log(var, "sms"))) == 1


async def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "var").write_text("a file")
    journal = Journal(log_path(tmp_path / "var", "sms"))
    with pytest.raises(BadInput, match="cannot be written"):
        journal.open()
    await journal.close()


@pytest.mark.parametrize(
    ("last_bytes", "expected"), [(8, [3]), (9, [3]), (16, [2, 3]), (99, [1, 2, 3])]
)
def test_tail_of_a_log_is_read_alone(var, last_bytes, expected):
    path = log_path(var, "sms")
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"n":1}\n{"n":2}\n{"n":3}\n')
    assert [line["n"] for line in read_log(var, "sms", last_bytes=last_bytes)] == expected


def test_missing_log_is_empty(var):
    assert list(read_log(var, "email")) == []


def test_foreign_line_is_named(var):
    path = log_path(var, "sms")
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"n":1}\n\0\0\0\n{"n":3}\n')
    with pytest.raises(
        BadInput, match=r"sms\.jsonl holds a line that no carrier wrote, before byte 12\."
    ):
        list(read_log(var, "sms"))
