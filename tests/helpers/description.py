"""The interface's own description, and whether an answer is as it says."""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from alerting.api import create_app
from alerting.settings import Settings


@cache
def description() -> dict[str, Any]:
    return create_app(Settings()).openapi()


def check(answer: httpx.Response) -> None:
    """Raise AssertionError for an answer that the description does not have."""
    path, call = found_call(answer)
    if not path:
        return
    where = f"{answer.request.method} {path} {answer.status_code}"
    assert str(answer.status_code) in call["responses"], f"{where} is not described: {answer.text}"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    content = call["responses"][str(answer.status_code)].get("content", {})
    assert kind in content, f"{where} is described as {list(content)}, not {kind}"
    if kind.endswith("json"):
        validator = _validator(answer.request.method.lower(), path, answer.status_code, kind)
        for fault in validator.iter_errors(answer.json()):
            raise AssertionError(f"{where}: {fault}")


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    """Those without a parameter first: they are what a router finds first."""
    return [
        (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path)
        for path in sorted(description()["paths"], key=lambda p: p.count("{"))
    ]


def found_call(answer: httpx.Response) -> tuple[str, dict[str, Any]]:
    """The described path, and its call, that was asked; an empty path where none is described."""
    method, path = answer.request.method.lower(), answer.request.url.path
    for pattern, name in _paths():
        if pattern.fullmatch(path) and method in description()["paths"][name]:
            return name, description()["paths"][name][method]
    return "", {}


@cache
def _validator(method: str, path: str, status: int, kind: str) -> jsonschema_rs.Validator:
    answers = description()["paths"][path][method]["responses"]
    schema = answers[str(status)]["content"][kind]["schema"]
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": _closed()}, validate_formats=True
    )


@cache
def _closed() -> dict[str, Any]:
    """The models, where what a model does not name may not be there either."""
    components = copy.deepcopy(description()["components"])
    for model in components["schemas"].values():
        if "properties" in model:
            model["additionalProperties"] = False
    return components
