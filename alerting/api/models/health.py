"""Whether the process is alive and ready."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Liveness(BaseModel):
    """The process runs."""

    status: Literal["alive"] = Field(description="Always `alive`.")


class Readiness(BaseModel):
    """Whether alerts can be accepted, and what each part says."""

    ready: bool = Field(description="True where database and schema are.")
    database: bool = Field(description="PostgreSQL answers.")
    schema_: bool | None = Field(
        None, alias="schema", description="Its schema is of this version; absent without database."
    )
    redis: bool = Field(description="Redis answers. Not required: alerts go out without it.")
