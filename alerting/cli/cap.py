"""`alerting cap`: look at CAP documents without sending anything."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from alerting.cap import CapError, Findings, Reading, check, read
from alerting.cli import options
from alerting.domain.alert import Alert
from alerting.settings import settings

READ, FOUND_ERRORS, UNREADABLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Report:
    """One file: what it held, or why it could not be read."""

    file: str
    reading: Reading | None
    checked: tuple[tuple[Alert, Findings], ...] = ()
    error: str = ""

    @property
    def code(self) -> int:
        if self.reading is None:
            return UNREADABLE
        faulty = self.reading.refused or any(found.errors for _, found in self.checked)
        return FOUND_ERRORS if faulty else READ


@click.group()
def cap() -> None:
    """Look at CAP documents; nothing is sent."""


@cap.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@options.as_json
def check_files(files: tuple[str, ...], as_json: bool) -> int:
    """Say what was repaired on reading and what a citizen would miss; - is standard input.

    Exit code 0 when nothing is wrong, 1 when a finding is an error, 2 when a file is unreadable.
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
        # One byte more than is read tells "too large" without reading it all.
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
    return _Report(file, reading, tuple((alert, check(alert)) for alert in reading.alerts))


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
                "identifier": alert.identifier,
                "sender": alert.sender,
                "sent": alert.sent.isoformat(),
                "status": alert.status,
                "msgType": alert.msg_type,
                "repairs": [asdict(repair) for repair in alert.repairs],
                "findings": [asdict(finding) for finding in found.findings],
                "info": [asdict(facts) for facts in found.infos],
            }
            for alert, found in report.checked
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
    for alert, found in report.checked:
        _print_alert(alert, found)


def _print_alert(alert: Alert, found: Findings) -> None:
    click.echo(f"  {alert.identifier} ({alert.status} {alert.msg_type} from {alert.sender})")
    for repair in alert.repairs:
        click.echo(f"    repaired  {repair.where}: {repair.what}")
    for facts in found.infos:
        answers = ", ".join(
            f"{name} {'yes' if getattr(facts, name) else 'NO'}"
            for name in ("source", "hazard", "place", "guidance", "time")
        )
        count = facts.sms.count
        sms = f"SMS {facts.sms.encoding}, {count} segment{'' if count == 1 else 's'}"
        click.echo(f"    {facts.where} {facts.language}: {answers}; {sms}")
    for finding in found.findings:
        click.echo(f"    {finding.level:<8}  {finding.where}: {finding.text} {finding.remedy}")
    if not alert.repairs and not found.findings:
        click.echo("    nothing to repair, nothing to remark")
