"""Who left is not written to, by any row; who comes back is; the reason shown is the true one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from dispatch_harness import DispatchHarness

from alerting.audience.importing import import_file
from alerting.cap import to_xml
from alerting.channels.base import OPTED_OUT, Outcome, Outgoing
from alerting.dispatch import replies
from alerting.dispatch.evaluation.explain import Explained, explain
from alerting.domain.alert import Alert
from alerting.store.schema import CHUNK_SPAN

NUMBER = "+447700900981"
#: Beside the number's two owners one who never leaves.
REGISTER = f"""ref,lat,lon,sms
first,54.5,2.5,{NUMBER}
second,54.5,2.5,+44 7700 900981
other,54.5,2.5,+447700900982
"""


class Story:
    """Alerts to a register whose numbers answer as the carrier has them."""

    def __init__(self, harness: DispatchHarness, flood: Alert, file: Path) -> None:
        self.harness = harness
        self._flood = flood
        self._file = file
        self._alerts = 0

    async def register(self, text: str) -> None:
        self._file.write_text(text, encoding="utf-8")
        errors = self._file.with_suffix(".errors.csv")
        assert (await import_file(self.harness.db, self._file, errors=errors)).refused == 0

    async def warn(self) -> tuple[list[str], dict[str, Explained]]:
        """A new danger: the numbers that were written to, and what `why` says of each citizen."""
        self._alerts += 1
        self.harness.clock.advance(60)
        sent = self.harness.clock.now().replace(microsecond=0)
        name = f"danger {self._alerts}"
        info = replace(
            self._flood.infos[0], event=name, headline=name, expires=sent + timedelta(hours=5)
        )
        alert = replace(self._flood, identifier=name, sent=sent, infos=(info,))
        before = len(self.harness.channels["sms"].sent)
        submitted = await self.harness.submit(to_xml(alert))
        await self.harness.worker().sweep()
        notified = sorted(m.endpoint for m in self.harness.channels["sms"].sent[before:])
        said = {}
        async with self.harness.db.begin() as c:
            for ref in ("first", "second", "other"):
                now = self.harness.clock.now()
                (said[ref],) = await explain(c, submitted.alert_id, ref, now=now)
        return [t for t in notified if t.startswith("+4477009009")], said


async def test_opted_out_number_returns_by_register(
    harness: DispatchHarness, flood: Alert, tmp_path: Path
) -> None:
    story = Story(harness, flood, tmp_path / "register.csv")
    await story.register(REGISTER)

    def has_left(message: Outgoing) -> Outcome:
        if message.endpoint == NUMBER:
            return Outcome(message.delivery_id, OPTED_OUT, provider_code="21610")
        return Outcome(message.delivery_id, provider_ref="ok")

    harness.channels["sms"].answer = has_left
    notified, said = await story.warn()
    assert set(notified) == {NUMBER, "+447700900982"}
    assert said["first"].sentence.startswith(
        "The sms could not be delivered. The citizen told the provider to stop."
    )
    notified, said = await story.warn()
    assert notified == ["+447700900982"]
    for ref in ("first", "second"):
        assert said[ref].reason == "opted-out"
        assert "The carrier says that its owner answered STOP, on 20" in said[ref].sentence
    # A line that changes otherwise, or a new one, says nothing of consent.
    await story.register(REGISTER + f"third,54.5,2.5,{NUMBER}\n")
    assert (await story.warn())[0] == ["+447700900982"]
    harness.channels["sms"].answer = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    await story.register(f"ref,lat,lon,sms,verified,consent\nfirst,54.5,2.5,{NUMBER},sms,sms\n")
    notified, said = await story.warn()
    assert notified == [NUMBER, "+447700900982"]
    assert {said["first"].state, said["second"].state} == {"accepted", "suppressed"}


async def test_number_that_says_stop_and_start(
    harness: DispatchHarness, flood: Alert, tmp_path: Path
) -> None:
    story = Story(harness, flood, tmp_path / "register.csv")
    await story.register(REGISTER)
    async with harness.db.begin() as c:
        await replies.take(c, "SM1", NUMBER, "Стоп!")
    notified, said = await story.warn()
    assert notified == ["+447700900982"]
    assert "Its owner answered STOP, on 20" in said["second"].sentence
    # Whatever the register says of it.
    await story.register(REGISTER + f"third,54.5,2.5,{NUMBER}\n".replace("third", "fourth"))
    await story.register(f"ref,lat,lon,sms,verified,consent\nfirst,54.5,2.5,{NUMBER},sms,sms\n")
    assert (await story.warn())[0] == ["+447700900982"]
    async with harness.db.begin() as c:
        await replies.take(c, "SM2", NUMBER, "start")
    assert (await story.warn())[0] == [NUMBER, "+447700900982"]


async def test_stop_while_alert_is_sent_counts_at_once(
    harness: DispatchHarness, flood: Alert, tmp_path: Path
) -> None:
    """Planned, and not yet decided: nothing is sent there any more."""
    story = Story(harness, flood, tmp_path / "register.csv")
    await story.register(REGISTER)
    submitted = await harness.submit(to_xml(flood))
    worker = harness.worker()
    await worker._did_one()
    rows = await harness.rows(submitted.alert_id)
    assert {r["state"] for r in rows} == {"planned"}
    assert len({r["id"] // CHUNK_SPAN for r in rows}) > 1
    async with harness.db.begin() as c:
        await replies.take(c, "SM1", NUMBER, "stop")
    await worker.sweep()
    assert NUMBER not in {m.endpoint for m in harness.channels["sms"].sent}
