"""Run one scenario: start a system, send an alert, inject faults while it goes out, judge."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from alerting.demo.run import demo_settings
from alerting.settings import Settings
from lab.chaos import judge
from lab.chaos.play import Play, Second
from lab.chaos.report import Report
from lab.chaos.run_config import RunConfig
from lab.chaos.system import running
from lab.chaos.verdict import (
    RunContext,
    SecondAlert,
    attribute,
    criteria,
    disagreements,
    last_after_s,
    recoveries,
    resumed_s,
    silence_beside_s,
)


async def run(own: Settings, example: bytes, run_config: RunConfig) -> Report:
    """Run the scenario in a folder of its own below `own.var`, emptied before.

    Raises WorkFailed or Unavailable when the system did not come far enough to be judged; every
    other failure is in the report.
    """
    begun = time.monotonic()
    config = _settings(own, run_config)
    shutil.rmtree(config.var, ignore_errors=True)
    shifts = config.var / "clocks"
    shifts.mkdir(parents=True)
    async with running(
        config,
        proxied=run_config.scenario.proxied,
        shifts=shifts if run_config.scenario.shifted else None,
        second=_second(config) if run_config.scenario.two_companies else None,
        standby=run_config.scenario.standby,
    ) as system:
        play = await Play.open(system, example, run_config, shifts)
        await play.go()
        rows = await judge.ledger(system.database_url)
        chunks = await judge.unfinished_chunks(system.database_url)
        cancel = await play.cancel_committed()
    # Read once more when everything has ended: a message that came even now counts.
    play.logs.read_on()
    return _report(run_config, config, play, rows, chunks, cancel, time.monotonic() - begun)


def _settings(own: Settings, run_config: RunConfig) -> Settings:
    config = demo_settings(own)
    changes = {
        "var": own.var / "chaos" / run_config.name,
        "workers": run_config.parameters.workers,
        "log_format": "json",
        "log_level": "INFO",
        # A small alert too has chunks for all.
        "chunk_size": min(own.chunk_size, max(100, run_config.citizens // 40)),
        **run_config.scenario.settings,
    }
    return config.model_copy(update=changes)


def _second(config: Settings) -> Settings:
    """A second stub company on this machine, with its own logs and ports."""
    return demo_settings(config).model_copy(update={"var": config.var / "second"})


def _report(
    run_config: RunConfig,
    config: Settings,
    play: Play,
    ledger: Mapping[int, judge.Row],
    chunks: int,
    cancelled_at: datetime | None,
    seconds: float,
) -> Report:
    scenario = run_config.scenario
    lines = judge.of_alert(play.logs.lines, ledger, play.alert_id)
    rows = {i: r for i, r in ledger.items() if r.alert_id == play.alert_id}
    struck, want = play.struck, play.want
    recovery_s = recoveries(struck, lines)
    resumed = [resumed_s(s, lines) for s in struck]
    beside_s = silence_beside_s(struck, lines)
    cancel_s = last_after_s(cancelled_at, lines)
    if play.notice_id is not None:
        want = play.wanted_of_end(lines)
        lines = judge.of_alert(play.logs.lines, ledger, play.notice_id)
        rows = {i: r for i, r in ledger.items() if r.alert_id == play.notice_id}
    processes = play.system_lines
    elsewhere = attribute(processes.doubted, struck)
    judgement = judge.judge(want, lines, rows)
    providers = Counter(r.provider for r in rows.values() if r.provider)
    context = RunContext(
        scenario=scenario,
        judgement=judgement,
        struck=struck,
        planned=play.planned,
        recovery_s=recovery_s,
        in_doubt_elsewhere=elsewhere,
        window=config.window,
        channels=len({channel for channel, _ in play.want.addresses}),
        chunks=chunks,
        stuck=play.stuck,
        cancel_s=cancel_s,
        providers=providers,
        resumed_s=resumed,
        silence_beside_s=beside_s,
        second=None if play.second is None else _second_alert(play.second, play, ledger),
    )
    disagree = disagreements(lines, rows) if scenario.receipts else None
    return Report(
        scenario=run_config.name,
        command=run_config.command,
        seed=run_config.seed,
        citizens=run_config.citizens,
        expected=play.expected,
        planned=play.planned,
        struck=struck,
        recovery_s=recovery_s,
        judgement=judgement,
        in_doubt_elsewhere=elsewhere,
        fenced=processes.fenced,
        errors=processes.errors,
        providers=providers,
        criteria=criteria(context, disagree=disagree),
        seconds=seconds,
    )


def _second_alert(second: Second, play: Play, ledger: Mapping[int, judge.Row]) -> SecondAlert:
    lines = judge.of_alert(play.logs.lines, ledger, second.alert_id)
    rows = {i: r for i, r in ledger.items() if r.alert_id == second.alert_id}
    first_at = min((line.at for line in lines), default=None)
    return SecondAlert(
        judge.judge(second.want, lines, rows),
        second.answered_s,
        None if first_at is None else (first_at - second.submitted_at).total_seconds(),
    )
