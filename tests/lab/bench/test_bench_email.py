"""The email bench runs in its smallest size, and its judge finds what is missing or doubled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from sizes import only_long

from alerting.errors import WorkFailed
from lab.bench import email
from lab.bench.command import bench
from lab.bench.stubs.sink import program, smtp_sink

pytestmark = pytest.mark.skipif(
    not shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin"),
    reason="there is no smtp-sink to stand in for the relay: make bench-deps",
)


@only_long
def test_email_end_to_end_beside_alternatives() -> None:
    done = CliRunner().invoke(bench, ["email", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    found = json.loads(done.stdout)["benches"]["email"]
    assert {email.SUBJECT, email.TASK, email.ONE, email.MANY, email.SOURCE} <= set(
        found["per_second"]
    )
    assert all(rate > 0 for rates in found["per_second"].values() for rate in rates)


@pytest.mark.parametrize(
    ("mails", "expected", "but"),
    [(3, 4, 0), (3, 2, 0), (3, 3, 1)],
    ids=["one missing", "a stranger", "none doubled where one should be"],
)
def test_wrong_record_yields_no_figure(tmp_path: Path, mails: int, expected: int, but: int) -> None:
    with smtp_sink(tmp_path) as sink:
        subprocess.run(
            [program("smtp-source"), "-d", "-N", "-m", str(mails), "-t", "c@example.org",
             f"127.0.0.1:{sink.port}"],
            check=True, capture_output=True,
        )  # fmt: skip
    email._judge(sink, {f"{n}c@example.org" for n in range(1, mails + 1)})
    with pytest.raises(WorkFailed):
        email._judge(sink, {f"{n}c@example.org" for n in range(1, expected + 1)}, but=but)
