"""The OpenAPI description: complete, and compatible with the first one that was published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from description import description

from alerting.api.described import PROBLEM, examples

#: Of each call: parameters and whether each is required, the body's types and fields, statuses.
FIRST: dict[str, Any] = json.loads(
    (Path(__file__).parent / "described_first.json").read_text(encoding="utf-8")
)
PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def calls() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in description()["paths"].items():
        for method, call in methods.items():
            yield f"{method.upper()} {path}", call


CALLS = dict(calls())
KEYED = sorted(name for name in CALLS if "/v1/" in name)


def named(schema: dict[str, Any]) -> dict[str, Any]:
    """The model a schema refers to, or itself."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = description()["components"]["schemas"][schema["$ref"].split("/")[-1]]
    return found


def body_fields(call: dict[str, Any]) -> dict[str, bool]:
    """The fields of a JSON body, and whether each is required."""
    fields = {}
    for content in call.get("requestBody", {}).get("content", {}).values():
        for schema in content["schema"].get("anyOf", [content["schema"]]):
            model = named(schema)
            for field in model.get("properties", {}):
                fields[field] = field in model.get("required", [])
    return fields


@pytest.mark.parametrize("name", FIRST)
def test_description_is_compatible_with_the_first(name: str) -> None:
    before, now = FIRST[name], CALLS[name]
    parameters = {f"{p['in']} {p['name']}": p["required"] for p in now.get("parameters", [])}
    assert parameters.keys() >= before["parameters"].keys()
    assert {p for p, required in parameters.items() if required} <= {
        p for p, required in before["parameters"].items() if required
    }
    fields, body = body_fields(now), before["body"]
    assert fields.keys() >= body["fields"].keys()
    assert {f for f, required in fields.items() if required} <= {
        f for f, required in body["fields"].items() if required
    }
    described = now.get("requestBody", {})
    assert set(described.get("content", {})) >= set(body["types"])
    assert body["required"] or not described.get("required", False)
    assert {int(s) for s in now["responses"]} >= set(before["statuses"])


@pytest.mark.parametrize("name", KEYED)
def test_every_answer_is_described(name: str) -> None:
    answers = CALLS[name]["responses"]
    assert set(answers) >= {"401", "403", "413", "422", "429", "500", "503"}
    assert ("404" in answers) or "{" not in name
    for status, answer in answers.items():
        assert answer["description"]
        if int(status) >= 400:
            assert answer["content"][PROBLEM]["schema"] == PROBLEM_SCHEMA, status
            assert list(answer["content"]) == [PROBLEM]
        else:
            for kind, content in answer["content"].items():
                if kind == "application/json":
                    assert {"$ref", "anyOf"} & set(content["schema"]), (status, content["schema"])
                    assert "example" in content, status
    for status in ("429", "503"):
        assert "Retry-After" in answers[status]["headers"]


def test_every_field_is_described() -> None:
    for name, model in description()["components"]["schemas"].items():
        assert model.get("description") or "enum" in model, name
        for field, schema in model.get("properties", {}).items():
            assert schema.get("description"), (name, field)


@pytest.mark.parametrize("name", KEYED)
def test_every_parameter_is_described(name: str) -> None:
    for parameter in CALLS[name].get("parameters", []):
        assert parameter.get("description"), parameter["name"]


def test_every_example_belongs_to_a_call() -> None:
    described = {f"{name} {s}" for name, call in CALLS.items() for s in call["responses"]}
    statuses = {name.rpartition(" ")[2] for name in described}
    assert set(examples()) <= described | statuses


def test_idempotency_and_paging_are_described() -> None:
    about = description()["info"]["description"]
    for word in ("Idempotency-Key", "`next`", "`after`", "`before`", "Retry-After", PROBLEM):
        assert word in about, word
    for name in ("POST /v1/alerts", "POST /v1/alerts/{alert}/cancel"):
        (header,) = [p for p in CALLS[name]["parameters"] if p["in"] == "header"]
        assert header["name"] == "idempotency-key"
        assert header["description"]
