"""`alerting cap`: check and write CAP documents without sending anything."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from alerting.cap import CapError, Findings, Reading, read
from alerting.cli import common
from alerting.cli.cap_new import new
from alerting.clock import SystemClock
from alerting.dispatch.intake.findings import findings
from alerting.domain.alert import Alert
from alerting.domain.segments import Segments
from alerting.settings import settings

READ, FOUND_ERRORS, UNREADABLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Checked:
    alert: Alert
    found: Findings
    sms: list[Segments]


@dataclass(frozen=True, slots=True)
class _Report:
    """One file: its alerts, or why it could not be read."""

    file: str
    reading: Reading | None
    checked: tuple[_Checked, ...] = ()
    error: str = ""

    @property
    def code(self) -> int:
        if self.reading is None:
            return UNREADABLE
        faulty = self.reading.refused or any(c.found.errors for c in self.checked)
        return FOUND_ERRORS if faulty else READ


@click.group()
def cap() -> None:
    """Check and write CAP documents; nothing is sent."""


cap.add_command(new)


@cap.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@common.as_json
def check_files(files: tuple[str, ...], as_json: bool) -> int:
    """Show what was repaired on reading and what a citizen would miss; - is standard input.

    The exit code is 0 when nothing is wrong, 1 when a finding is an error, 2 when a file is
    unreadable.
    """
    reports = [_report(file) for file in files]
    code = max(report.code for report in reports)
    if as_json:
        body = {"files": [_as_json(report) for report in reports], "exit": code}
        click.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return code
    for report in reports:
        _print(report)
    return code


def _report(file: str) -> _Report:
    most = settings().max_alert_bytes
    try:
        # One byte beyond the limit detects "too large" without reading it all.
        if file == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(most + 1)
        reading = read(data, max_bytes=most)
    except OSError as e:
        return _Report(file, None, error=f"It cannot be opened: {e.strerror or e}.")
    except CapError as e:
        return _Report(file, None, error=str(e))
    return _Report(file, reading, tuple(_checked(alert) for alert in reading.alerts))


def _checked(alert: Alert) -> _Checked:
    found, sms = findings(alert, clock=SystemClock(), public_url=settings().public_url)
    return _Checked(alert, found, sms)


def _as_json(report: _Report) -> dict[str, Any]:
    if report.reading is None:
        return {"file": report.file, "readable": False, "error": report.error}
    return {
        "file": report.file,
        "readable": True,
        "kind": report.reading.kind,
        "links": report.reading.links,
        "refused": report.reading.refused,
        "alerts": [
            {
                "identifier": c.alert.identifier,
                "sender": c.alert.sender,
                "sent": c.alert.sent.isoformat(),
                "status": c.alert.status,
                "msgType": c.alert.msg_type,
                "repairs": [asdict(repair) for repair in c.alert.repairs],
                "findings": [asdict(finding) for finding in c.found.findings],
                "info": [
                    asdict(facts) | {"sms": asdict(sms)}
                    for facts, sms in zip(c.found.infos, c.sms, strict=True)
                ],
            }
            for c in report.checked
        ],
    }


def _print(report: _Report) -> None:
    if report.reading is None:
        click.echo(f"{report.file}: {report.error}", err=True)
        return
    reading = report.reading
    held = [f"{len(reading.alerts)} alert{'' if len(reading.alerts) == 1 else 's'}"]
    held += [f"{len(reading.links)} links"] if reading.links else []
    click.echo(f"{report.file}: {reading.kind}, {', '.join(held)}")
    for why in reading.refused:
        click.echo(f"  refused: {why}")
    for checked in report.checked:
        _print_alert(checked)


def _print_alert(checked: _Checked) -> None:
    alert, found = checked.alert, checked.found
    click.echo(f"  {alert.identifier} ({alert.status} {alert.msg_type} from {alert.sender})")
    for repair in alert.repairs:
        click.echo(f"    repaired  {repair.where}: {repair.what}")
    for facts, size in zip(found.infos, checked.sms, strict=True):
        answers = ", ".join(
            f"{name} {'yes' if getattr(facts, name) else 'NO'}"
            for name in ("source", "hazard", "place", "guidance", "time")
        )
        sms = f"SMS {size.encoding}, {size.count} segment{'' if size.count == 1 else 's'}"
        click.echo(f"    {facts.where} {facts.language}: {answers}; {sms}")
    for finding in found.findings:
        click.echo(f"    {finding.level:<8}  {finding}")
    if not alert.repairs and not found.findings:
        click.echo("    nothing to repair, nothing to remark")
