"""What the sandbox carriers are called. None of it is a secret: it opens nothing but a sandbox."""

from __future__ import annotations

from typing import Literal

Carrier = Literal["sms", "email", "push"]

CARRIERS: tuple[Carrier, ...] = ("sms", "email", "push")

#: The one account of the Twilio-shaped API, and the token that signs its callbacks.
SANDBOX_ACCOUNT = "ACd1ce0000000000000000000000005a4d"
SANDBOX_TOKEN = "sandbox-no-secret"  # noqa: S105 - public on purpose, as the docstring says

#: Every push subscription of the sandbox is made from this and a name.
PUSH_SEED = "sandbox-push"
