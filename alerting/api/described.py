"""The OpenAPI description: each route's answers, its problems, and an example of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from alerting.api.models.problem import Problem

PROBLEM = "application/problem+json"

ABOUT = """Submit CAP alerts and see what became of every delivery.

**Keys.** Every call under `/v1` needs `Authorization: Bearer ak_…`, a key with the right that the \
call asks for.

**Repeating.** Send an `Idempotency-Key` of your own (1 to 200 characters) with a submission or a \
cancel. The same key and body again answer 200 and change nothing, as long as the alert is kept; \
the same key with another body is refused with 422. Keys of different callers never meet.

**Parameters.** A query parameter that a call does not have is refused with 422, and so is a \
second value where it takes one: a mistyped `dry_run` sends nothing.

**Paging.** A list answers at most `limit` items and `next`. Give `next` as `after` (in the audit \
as `before`) to get the page that follows; `next` is null on the last page. It stays valid while \
items are added.

**Errors.** Every error is a problem document (RFC 9457, `application/problem+json`). A 4xx \
changed nothing. After 429 and 503 wait for the seconds in `Retry-After` and send the same again. \
A request that does not arrive in time is answered 408, one with too large a head 431, both as \
plain text.

**Units.** Times are in ISO 8601 with an offset, fields that end in `_s` in seconds, in `_km2` in \
square kilometres, margins in the unit of their count."""

#: What any call that needs a key may answer.
_ALWAYS = {
    401: "There is no key, or it is wrong, revoked or expired.",
    403: "The key does not have the right.",
    413: "The body is too large.",
    422: "A parameter or the body was refused.",
    429: "Too many requests of one key or network.",
    500: "An error of this service. Nobody can say whether it was done.",
    503: "A part of this service does not answer. Send the same again.",
}

_HEADERS: dict[int, dict[str, str]] = {
    202: {"Location": "The alert that was made, as a path."},
    401: {"WWW-Authenticate": "`Bearer`."},
    429: {"Retry-After": "Seconds to wait."},
    503: {"Retry-After": "Seconds to wait."},
}

#: What any call may answer, with or without a key.
_ANYWHERE = {
    413: "The body is too large.",
    422: "The request has what no request may have; the detail names it.",
    429: "Too many requests of one network.",
}

Responses = dict[int | str, dict[str, Any]]


def answers(
    good: Mapping[int, tuple[Any, str]], problems: Mapping[int, str], *, keyed: bool = True
) -> Responses:
    """FastAPI's `responses` of a route.

    good: model and meaning by status; problems: what its own problems mean, beside or instead of
    those of every route that needs a key; keyed: it needs one.
    """
    described: Responses = {
        status: {"model": model, "description": meaning} | _headers(_HEADERS.get(status, {}))
        for status, (model, meaning) in good.items()
    }
    for status, meaning in sorted(((_ALWAYS if keyed else _ANYWHERE) | dict(problems)).items()):
        described[status] = {
            "description": meaning,
            "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        } | _headers(_HEADERS.get(status, {}))
    return described


def _headers(meanings: Mapping[str, str]) -> dict[str, Any]:
    if not meanings:
        return {}
    return {
        "headers": {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in meanings.items()
        }
    }


class Described(FastAPI):
    """An application whose description has our problem documents and real answers as examples."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            _, problem = models_json_schema(
                [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
            )
            document["components"]["schemas"].update(problem["$defs"])
            for path, calls in document["paths"].items():
                for method, call in calls.items():
                    for status, answer in call["responses"].items():
                        _complete(f"{method.upper()} {path} {status}", answer)
        assert self.openapi_schema is not None  # noqa: S101
        return self.openapi_schema


def _complete(name: str, answer: dict[str, Any]) -> None:
    for kind, content in answer.get("content", {}).items():
        # FastAPI adds the handler's own type, any object, to the model.
        named = content.get("schema", {})
        if "$ref" in named or "anyOf" in named:
            content["schema"] = {k: v for k, v in named.items() if k in ("$ref", "anyOf")}
        example = examples().get(name.rpartition(" ")[2] if kind == PROBLEM else name)
        if example is not None:
            content["example"] = example


@cache
def examples() -> dict[str, Any]:
    """Answers that this service has given: by method, path and status, problems by status alone."""
    text = files("alerting.api").joinpath("examples.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
