"""The policy and the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class PolicyVersion(BaseModel):
    """One version of the policy, without its text."""

    version: int = Field(description="Its number.")
    name: str = Field(description="The name of its file.")
    state: str = Field(description="`live` or `shadow`.")
    sha256: str = Field(description="SHA-256 of its text, in hexadecimal.")
    changed_by: str = Field(description="Who set it.")
    note: str = Field(description="Why it was set; may be empty.")
    at: datetime = Field(description="When it was set.")


class PolicyOut(BaseModel):
    """The live policy. Who set it is absent while it is the default, which is version 0."""

    version: int = Field(description="Its number; 0 for the default.")
    name: str = Field(description="The name of its file.")
    state: str | None = Field(None, description="`live`.")
    sha256: str | None = Field(None, description="SHA-256 of its text, in hexadecimal.")
    changed_by: str | None = Field(None, description="Who set it.")
    note: str | None = Field(None, description="Why it was set; may be empty.")
    at: datetime | None = Field(None, description="When it was set.")
    toml: str = Field(description="Its text.")
    in_force: int = Field(
        description="The version that `policy` shows; not `version` only where this release no "
        "longer accepts the live text."
    )
    policy: dict[str, Any] = Field(description="Every value in force, by section and key.")
    shadow: PolicyVersion | None = Field(description="The one that runs in shadow, if any.")


class AuditLine(BaseModel):
    """Who did what to what."""

    id: int = Field(description="Its number; `before` for what is older.")
    at: datetime = Field(description="When.")
    actor: str = Field(description="Who: `person:NAME key:KEY`, `key:KEY` of a machine, …")
    action: str = Field(description="What was done, such as `alert.cancel`.")
    subject: str = Field(description="To what; of an alert its id.")
    detail: dict[str, Any] = Field(description="More about it. Never an address or a text.")
    seq: int | None = Field(description="Its place in the sealed chain; null until it is sealed.")
    hash: str | None = Field(description="SHA-256 of the chain up to it; null until it is sealed.")


class AuditPage(BaseModel):
    """One page of the audit, the newest first."""

    lines: list[AuditLine] = Field(description="At most `limit`.")
    next: int | None = Field(description="Give it as `before` for the next page; null on the last.")
