"""Every real alert of the corpus renders on every channel."""

from __future__ import annotations

from pathlib import Path

from corpora import real_files
from render_examples import LINK, rendered

from alerting.cap import CapError, read
from alerting.channels.base import Outgoing
from alerting.channels.email.email_build import MailBuilder, MailIdentity
from alerting.channels.sms.sms_text import MAX_SEGMENTS
from alerting.domain.alert import Alert
from alerting.domain.lane import lane_of
from alerting.domain.segments import measure

#: Infos looked at per alert: some hold a thousand that differ in a number.
FIRST = 3
IDENTITY = MailIdentity("a@agency.example", "Agency", "agency.example", "https://x.example", "x")


def alerts(corpus: Path) -> list[Alert]:
    found = []
    for path in real_files(corpus):
        try:
            found += read(path.read_bytes()).alerts
        except CapError:
            continue
    return found


def test_every_corpus_alert_renders_and_fits(corpus: Path) -> None:
    builder = MailBuilder(IDENTITY)
    seen = 0
    for alert in alerts(corpus):
        for info_no in range(-1, min(len(alert.infos), FIRST)):
            for language in ("uk", "en"):
                sms, mail, push = (
                    rendered(alert, channel, language, info_no=info_no)
                    for channel in ("sms", "email", "push")
                )
                size = measure(sms.text)
                assert size.count <= MAX_SEGMENTS[size.encoding], alert.identifier
                assert sms.text.endswith(LINK) is not alert.is_drill
                assert push.subject.strip()
                assert push.text.strip()
                outgoing = Outgoing(1, "a@x.example", mail, lane_of(alert), alert.identifier)
                raw = builder.build(outgoing, to="a@x.example", date="Mon, 2 Mar 2026 00:00 +0000")
                assert raw.isascii()
                assert max(map(len, raw.split(b"\r\n"))) <= 998
        seen += 1
    assert seen > 100
