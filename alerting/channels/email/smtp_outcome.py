"""What became of a mail, said as an Outcome: from the relay's answer or from why there was none."""

from __future__ import annotations

import re
import ssl

import aiosmtplib

from alerting.channels.base import AMBIGUOUS, OUR_FAULT, PROVIDER_DOWN, Outcome
from alerting.channels.email.smtp_conversation import Answer
from alerting.channels.email.smtp_replies import Stage, classify, provider_code


def answered(delivery_id: int, answer: Answer) -> Outcome:
    """What the relay's answer means.

    A connection that ended before the text was said is `provider-down` and may be tried again;
    after that the mail may have been taken, and it is `ambiguous`.
    """
    stage, reply = answer.stage, answer.reply
    if reply is None:
        return Outcome(delivery_id, AMBIGUOUS if stage is Stage.BODY else PROVIDER_DOWN)
    if stage is Stage.BODY:
        if reply.code // 100 == 2:
            return Outcome(delivery_id, provider_ref=_queue_id(reply.text))
        if reply.code // 100 not in (4, 5):
            code = provider_code(reply.code, reply.text)
            return Outcome(delivery_id, AMBIGUOUS, provider_code=code)
    return _refused(delivery_id, stage, reply.code, reply.text)


def unreached(delivery_id: int, e: BaseException) -> Outcome:
    """What a failure to open a connection means."""
    cause: BaseException | None = e
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Outcome(delivery_id, OUR_FAULT, provider_code="tls certificate")
        cause = cause.__cause__
    if isinstance(e, aiosmtplib.SMTPAuthenticationError):
        return _refused(delivery_id, Stage.AUTH, e.code, e.message)
    if isinstance(e, aiosmtplib.SMTPResponseException):
        return _refused(delivery_id, Stage.CONNECT, e.code, e.message)
    if type(e) is aiosmtplib.SMTPException:
        # Its plain base class says one thing: the server offers no STARTTLS or no AUTH.
        return Outcome(delivery_id, OUR_FAULT, provider_code="starttls or auth not offered")
    return Outcome(delivery_id, PROVIDER_DOWN)


def _refused(delivery_id: int, stage: Stage, code: int, text: str) -> Outcome:
    return Outcome(
        delivery_id, classify(stage, code, text), provider_code=provider_code(code, text)
    )


_QUEUED_AS = re.compile(r"queued as ([A-Za-z0-9]{4,40})", re.I)


def _queue_id(text: str) -> str:
    """The relay's own id, where it says one as Postfix does: for looking a mail up in its log."""
    found = _QUEUED_AS.search(text)
    return found[1] if found else ""
