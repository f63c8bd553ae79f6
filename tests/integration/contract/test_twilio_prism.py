"""The SMS adapter against a server made, by others, from Twilio's own API description."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from npm_tools import node, require

from alerting.channels.base import OUR_FAULT, REFUSED_CONTENT, Outgoing, Rendering
from alerting.channels.http import Answer, HttpClient
from alerting.channels.sms.twilio_account import Account, examine
from alerting.channels.sms.twilio_http import Refused, TwilioTransport
from alerting.channels.sms.twilio_sms import TwilioConfig, TwilioSms
from alerting.domain.lane import Lane
from alerting.errors import WorkFailed

READY_WITHIN_S = 60
ACCOUNT = "AC00000000000000000000000000000001"
PATH = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@pytest.fixture
def prism(corpus: Path, unused_tcp_port: int, tmp_path: Path) -> Iterator[str]:
    """The address of a mock server that validates every request against the description."""
    program = require("@stoplight/prism-cli") / "dist" / "index.js"
    description = corpus / "twilio" / "twilio_api_v2010.json"
    port = unused_tcp_port
    log = tmp_path / "prism.log"
    command = [node(), str(program), "mock", "-h", "127.0.0.1", "-p", str(port), str(description)]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = monotonic() + READY_WITHIN_S
        while not answers(port):
            try:
                server.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                if monotonic() < deadline:
                    continue
            pytest.fail(f"Prism did not start: {log.read_text(errors='replace')[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(timeout=60)


def message(lane: Lane, valid_until: datetime | None = None) -> Outgoing:
    text = "Flood warning for Exampleton: move to high ground. ⛰"
    return Outgoing(
        7, "+447700900123", Rendering("sms", "en", "", text), lane, "t1", valid_until=valid_until
    )


async def test_create_matches_the_description(prism: str) -> None:
    channel = TwilioSms(
        TwilioConfig(
            account_sid=ACCOUNT,
            auth_token="secret",
            base_url=prism,
            default_sender="+447700900000",
            messaging_service={Lane.ROUTINE: "MG" + "0" * 32},
            status_callback_url="https://alerts.example.org/webhooks/twilio/status",
        )
    )
    await channel.open()
    try:
        end = datetime.now(UTC) + timedelta(hours=1)
        for sent in (
            message(Lane.EXTREME, end),
            message(Lane.SEVERE),
            message(Lane.ROUTINE, end),
            message(Lane.DRILL, end + timedelta(days=2)),
        ):
            outcome = await channel.send(sent)
            assert outcome.accepted, outcome
            # Every message has the one SID of the description's example.
            assert outcome.provider_ref == "SM" + "a" * 32
    finally:
        await channel.close()


async def test_look_up_matches_the_description(
    prism: str, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    get = HttpClient.get

    async def spied(self: HttpClient, url: str, headers: Mapping[str, str]) -> Answer:
        asked.append(str(url))
        answer = await get(self, url, headers)
        assert answer.status == 200, answer
        return answer

    monkeypatch.setattr(HttpClient, "get", spied)
    channel = TwilioSms(
        TwilioConfig(
            account_sid=ACCOUNT,
            auth_token="secret",
            base_url=prism,
            default_sender="+447700900000",
        )
    )
    await channel.open()
    try:
        # The description's one example, over and over, was sent in 2019.
        assert await channel.look_up(message(Lane.SEVERE), since=datetime.now(UTC)) is None
    finally:
        await channel.close()
    [url] = asked
    # The mock takes parameters that Twilio does not know.
    description = json.loads((corpus / "twilio" / "twilio_api_v2010.json").read_text())
    listing = description["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]["get"]
    known = {p["name"] for p in listing["parameters"] if p["in"] == "query"}
    assert set(parse_qs(urlsplit(url).query)) == {"To", "PageSize"} <= known


async def test_refusals_of_the_description_are_classified(prism: str) -> None:
    form = {"To": "+447700900123", "From": "+447700900000", "Body": "x"}
    without_to = {k: v for k, v in form.items() if k != "To"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    client = HttpClient(timeout_s=60, concurrency=2)
    await client.open()
    try:
        ours = TwilioTransport(client, prism, ACCOUNT, "secret")
        for bad in (without_to, {**form, "ValidityPeriod": "soon"}):
            with pytest.raises(Refused) as refused:
                await ours.post(ours.url(PATH), urlencode(bad).encode(), ours.headers(headers))
            assert (refused.value.error, refused.value.code) == (REFUSED_CONTENT, "422")
        elsewhere = PATH.replace("Messages", "Mesages")
        with pytest.raises(Refused) as refused:
            await ours.post(ours.url(elsewhere), urlencode(form).encode(), ours.headers(headers))
        assert (refused.value.error, refused.value.code) == (OUR_FAULT, "404")
    finally:
        await client.close()


async def test_doctor_requests_match_the_description(prism: str, corpus: Path) -> None:
    description = json.loads((corpus / "twilio" / "twilio_api_v2010.json").read_text())
    path = "/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers.json"
    answer = description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    [owned] = answer["examples"]["readFull"]["value"]["incoming_phone_numbers"]

    def config(sender: str) -> TwilioConfig:
        return TwilioConfig(
            account_sid=ACCOUNT, auth_token="secret", base_url=prism, default_sender=sender
        )

    assert await examine(config("WARNING"), timeout_s=60) == Account(False, (), ("WARNING",))
    assert owned["capabilities"]["sms"] is False
    with pytest.raises(WorkFailed, match="cannot send SMS"):
        await examine(config(owned["phone_number"]), timeout_s=60)
    with pytest.raises(WorkFailed, match=r"\+447700900000 is no number of the account"):
        await examine(config("+447700900000"), timeout_s=60)
