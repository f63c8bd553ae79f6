"""The citizens' end of Web Push: subscriptions with keys of their own, and reading what came."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import http_ece

from alerting.embedded.carriers.subscriptions import receiver, subscription
from alerting.embedded.carriers.vapid_check import BadVapid, VapidCheck
from alerting.errors import WorkFailed
from lab.bench.stubs.push_service import KEPT, Kept, PushService

_SEED = "bench-push"
#: A push service takes no more (RFC 8030 §7.2); head, delimiter and tag are never left out.
_SIZE_BYTES = range(86 + 1 + 16 + 1, 4096 + 1)


@dataclass(frozen=True, slots=True)
class Text:
    """What a citizen is to read, at least."""

    headline: str
    instruction: str

    def is_in(self, message: Mapping[str, object]) -> bool:
        title, body = str(message.get("title")), str(message.get("body"))
        return self.headline in title and self.instruction in body


def subscribe(url: str, count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """`count` subscriptions at the push service, each with keys of its own."""
    for n in range(1, count + 1):
        yield subscription(url, _SEED, f"c{n}")


def judge(service: PushService, count: int, texts: Collection[Text]) -> None:
    """Raise WorkFailed unless each of `count` subscriptions got one message, whose sender is
    known (RFC 8292), and those that were kept can be read with the keys of their citizens."""
    taken = service.taken()
    expected = {f"/push/c{n}" for n in range(1, count + 1)}
    each = Counter(t.path for t in taken)
    if each.keys() != expected or len(taken) != count:
        doubled = sum(n - 1 for n in each.values())
        raise WorkFailed(
            f"The push service took {len(each):,} of {count:,} messages, {doubled:,} twice."
        )
    odd = [t.size_bytes for t in taken if t.size_bytes not in _SIZE_BYTES]
    if odd:
        raise WorkFailed(f"{len(odd):,} messages are no encrypted ones: of {odd[0]:,} bytes.")
    kept = service.kept()
    if {k.path for k in kept} != {path for path in expected if path.endswith(KEPT)}:
        raise WorkFailed(f"The push service kept {len(kept):,} messages, which are not its sample.")
    check = VapidCheck()
    messages = [_read(k, check, service.url) for k in kept]
    wrong = [m for m in messages if not any(text.is_in(m) for text in texts)]
    if wrong or len({m.get("delivery") for m in messages}) != len(messages):
        raise WorkFailed(f"{len(wrong):,} of {len(kept):,} messages say something else.")


def _read(kept: Kept, check: VapidCheck, origin: str) -> dict[str, object]:
    """The message as a service worker gets it. Raises WorkFailed where the phone would not."""
    phone = receiver(_SEED, kept.path.rpartition("/")[2])
    try:
        check.sender(kept.authorization, origin)
        clear = http_ece.decrypt(
            kept.body, private_key=phone.private_key, auth_secret=phone.auth, version=kept.encoding
        )
        message = json.loads(clear)
    except BadVapid as e:
        raise WorkFailed(f"A push service would not know the sender: {e}") from e
    except (http_ece.ECEException, ValueError) as e:
        raise WorkFailed("A message cannot be read with its citizen's keys.") from e
    if not kept.ttl.isdigit() or not isinstance(message, dict):
        raise WorkFailed("A message has no time to live, or is no object.")
    return message
