"""The form of a message is what the SDK would have posted, whatever its text says."""

import json
import logging
from urllib.parse import parse_qsl, urlencode

from hypothesis import given
from hypothesis import strategies as st
from twilio.base import values
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from alerting.channels.http import Answer
from alerting.channels.sms.twilio_create import Creates
from alerting.channels.sms.twilio_http import TwilioTransport

SID, TOKEN = "AC" + "0" * 32, "secret"
CALLBACK = "https://alerts.example.org/webhooks/twilio/status?x=%2B1&delivery="
ANSWER = json.dumps({"sid": "SM1", "status": "queued"}).encode()

numbers = st.from_regex(r"\+44770090[0-9]{4}", fullmatch=True)
#: What a careless split would trip over: our own marks among the words of a text.
texts = st.lists(
    st.sampled_from(["+10000000001", "20000000002", "&To=", "%2B", "=", "\n", "Ω", "⛰", " "])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=8,
).map("".join)
senders = st.sampled_from([{"from_": "+447700900000"}, {"messaging_service_sid": "MG1"}])


class Posted:
    """Stands where connections are and keeps what would have gone out."""

    async def post(self, url, form, headers):
        self.url, self.form, self.headers = str(url), form.decode("ascii"), dict(headers)
        return Answer(201, {}, ANSWER, True)


class Recorder(AsyncHttpClient):
    def __init__(self):
        super().__init__(logging.getLogger(__name__), True, None)

    async def request(self, method, url, params=None, data=None, headers=None, **_):
        self.seen = (method, url, urlencode(data, doseq=True), headers)
        return Response(201, ANSWER.decode())


@given(
    st.lists(st.tuples(numbers, st.integers(1, 2**62)), min_size=1, max_size=4),
    texts,
    senders,
    st.none() | st.integers(1, 36_000),
    st.sampled_from(["", CALLBACK]),
)
async def test_request_equals_that_of_the_sdk(messages, text, sender, validity_s, callback):
    posted, sdk = Posted(), Recorder()
    ours = Creates(
        TwilioTransport(posted, "http://127.0.0.1:9", SID, TOKEN), SID, TOKEN, callback=callback
    )
    theirs = Client(SID, TOKEN, http_client=sdk).messages
    for to, delivery_id in messages:
        created = await ours.create(
            to, text, sender, delivery_id=delivery_id, validity_s=validity_s
        )
        assert (created.sid, created.failed) == ("SM1", "")
        await theirs.create_async(
            to=to,
            body=text,
            validity_period=values.unset if validity_s is None else validity_s,
            status_callback=f"{callback}{delivery_id}" if callback else values.unset,
            **sender,
        )
        method, url, form, headers = sdk.seen
        assert method == "POST"
        assert sorted(parse_qsl(posted.form, True)) == sorted(parse_qsl(form, True))
        assert posted.url == url.replace("https://api.twilio.com", "http://127.0.0.1:9")
        assert headers.items() <= posted.headers.items()


async def test_text_cache_is_bounded():
    ours = Creates(
        TwilioTransport(Posted(), "http://127.0.0.1:9", SID, TOKEN), SID, TOKEN, callback=""
    )
    for n in range(1_000):
        await ours.create(
            "+447700900123", f"{n}", {"from_": "+447700900000"}, delivery_id=n, validity_s=None
        )
    assert len(ours._requests) <= 256
