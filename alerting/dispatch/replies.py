"""Replies: applies citizens' answers to a text message. Only keywords have an effect: they stop or
start messages."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels.text import reply_words as replies
from alerting.channels.text.reply_words import Wish
from alerting.store.citizens import inbound, suppressions
from alerting.store.citizens.suppressions import Endpoint, Source

_ACTOR = "citizen"


async def take(
    connection: AsyncConnection, ref: str, sender: str, text: str, understood: str = ""
) -> str:
    """Do what a text message asks for; returns the answer to send, or an empty text.

    Args:
        ref: The provider's id of the message; a repeated one has no effect.
        sender: The number it came from.
        understood: The keyword that the provider recognised, if keywords are configured there.
    """
    reply = replies.read(text)
    if reply is None and understood.lower() in set(Wish):
        reply = replies.of_wish(Wish(understood.lower()))
    if reply is None or not await inbound.is_new(connection, ref):
        return ""
    endpoint = Endpoint("sms", sender)
    if reply.wish is Wish.STOP:
        await suppressions.stop(connection, [endpoint], Source.REPLY, actor=_ACTOR)
    elif reply.wish is Wish.START:
        await suppressions.start(connection, [endpoint], actor=_ACTOR, revive=True, why="START")
        if not await suppressions.is_used(connection, endpoint):
            return reply.unregistered
    return reply.answer
