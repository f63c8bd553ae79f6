"""The bench of several hosts runs, its hosts are apart, and its judge refuses."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from sizes import only_long

from alerting.errors import WorkFailed
from lab.bench.population import districts
from lab.bench.report import Options
from lab.bench.scale import scale
from lab.bench.scale.scale import judge, shape
from lab.bench.stubs import hosts as made
from lab.bench.stubs.clocked import Taken

needs_nginx = pytest.mark.skipif(
    not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"),
    reason="there is no nginx to stand in for the provider: make bench-deps",
)


def test_shape_of_a_rate_kept_and_used() -> None:
    taken = [Taken(n / 100, n) for n in range(1_000)]
    found = shape(taken, 2, 200)
    assert found.over == pytest.approx(0, abs=1.5)
    assert found.used == pytest.approx(100, abs=1)


def test_shape_finds_a_crowded_second_anywhere() -> None:
    taken = [Taken(n / 100, n) for n in range(1_000)]
    crowd = [Taken(4.55 + n / 1_000, 1_000 + n) for n in range(50)]
    found = shape(sorted([*taken, *crowd], key=lambda t: t.at_s), 1, 100)
    assert found.over == pytest.approx(50, abs=1)


def test_shape_counts_a_gap_as_unused() -> None:
    taken = [Taken(n / 100, n) for n in range(1_000) if not 300 <= n < 700]
    assert shape(taken, 1, 100).used == pytest.approx(50, abs=2)


def test_missing_and_duplicate_messages_are_refused() -> None:
    (place,) = districts([3])
    once = Counter(place.numbers)
    judge(place, [Taken(1, 1), Taken(1, 2), Taken(1, 3)], once)
    for taken in ([Taken(1, 1), Taken(1, 2)], [Taken(1, n) for n in (1, 2, 3, 3)]):
        with pytest.raises(WorkFailed, match="Of 3 the provider took"):
            judge(place, taken, once)
    with pytest.raises(WorkFailed, match="the ledger has 2"):
        judge(place, [Taken(1, n) for n in (1, 2, 3)], Counter([1, 2]))


def test_hosts_in_namespaces_are_isolated(tmp_path: Path) -> None:
    with made.hosts(2, tmp_path) as (one, other):
        if one.namespace is None or other.namespace is None:
            pytest.skip("network namespaces need root and `ip`")
        links = {h.no: _on(h, "ip", "-o", "address") for h in (one, other)}
        assert f"{one.gateway.removesuffix('.1')}.2/30" in links[0]
        assert other.gateway.rpartition(".")[0] not in links[0]
        assert one.inside != other.inside
    assert not Path(f"/sys/class/net/alr{one.namespace}").exists()


def _on(host: made.Host, *command: str) -> str:
    done = subprocess.run([*host.inside, *command], capture_output=True, text=True, check=True)
    return done.stdout


@only_long
@needs_nginx
def test_three_hosts_send_everything_once() -> None:
    report = scale.run(Options(quick=True, say=lambda _: None))
    assert all(rate > 0 for rates in report.figures["per_second"].values() for rate in rates)
    # How well the rate is used is for a quiet machine; that nothing is lost or doubled was judged.
    assert {"over_percent", "used_percent"} <= report.figures["shaping"].keys()


@needs_nginx
async def test_hosts_without_namespaces_are_process_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(made, "_allowed", lambda: False)
    sent = await scale.send(scale.HOSTS, 0, rate=300, for_s=1)
    assert sent.apart.startswith("process groups")
    assert len(sent.taken) == 100
