"""Problem documents (RFC 9457): the one shape of every error."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class RequestFault(BaseModel):
    """One fault of a parameter or of a JSON body."""

    where: str = Field(description="The part of the request, dotted.", examples=["query.limit"])
    what: str = Field(description="What is wrong with it.")


class PolicyFault(BaseModel):
    """One fault of a policy file."""

    line: int | None = Field(description="Line of the file, counted from 1; null: no single line.")
    key: str = Field(description="The key, dotted.", examples=["budget.spacing_s"])
    what: str = Field(description="What is wrong.")
    remedy: str = Field(description="What to write instead.")


class Problem(BaseModel):
    """What went wrong and what to do about it. Nothing was changed, unless the status is 5xx."""

    type: Literal["about:blank"] = Field(description="Always `about:blank`: the status says it.")
    title: str = Field(description="The kind of problem, the same for all of one kind.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What is wrong with this request, and the remedy.")
    errors: list[RequestFault] | list[PolicyFault] | None = Field(
        None, description="Every fault (at most 20 of a request); only where there are several."
    )
