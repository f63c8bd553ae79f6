"""Replies: citizens' answers to a text message. A keyword stops or starts messages; nothing else
changes anything."""

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
    """Do what a message from the number `sender` asks for; returns the answer to it, or an empty
    text.

    Args:
        ref: The provider's name for the message; a repeated one does nothing.
        understood: What the provider took it for, when its operator configured keywords there.
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
