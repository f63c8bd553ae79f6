"""Requests made from the description of the interface: none is answered with an error of ours, and
every answer has a status, a type and a shape that the description has."""

from __future__ import annotations

import asyncio

import pytest
import schemathesis
from description import check
from hypothesis import HealthCheck, Phase, given, seed, settings
from served import Served
from sizes import size

from alerting.domain.principal import RIGHTS
from alerting.settings import Settings

#: Of each operation.
_EXAMPLES = size(8, 100, "SCHEMATHESIS_EXAMPLES")


@pytest.fixture
def api_settings(api_settings: Settings) -> Settings:
    """How often is another test's matter."""
    return api_settings.model_copy(update={"network_rate": 0, "key_rate": 0})


@pytest.mark.timeout(3600)
async def test_every_request_is_answered_as_described(
    served: Served,
) -> None:
    auth = await served.person("everybody", *sorted(RIGHTS))
    schema = schemathesis.openapi.from_dict(served.app.openapi())
    loop = asyncio.get_running_loop()
    asked: dict[str, set[int]] = {}

    async def ask(case: schemathesis.Case) -> int:
        request = case.as_transport_kwargs(base_url=str(served.http.base_url))
        request.pop("cookies", None)
        if isinstance(request.get("data"), bytes | str):
            request["content"] = request.pop("data")
        request["headers"] = {**dict(request["headers"]), **auth}
        answer = await served.http.request(**request)
        check(answer)
        return answer.status_code

    def play(operation: schemathesis.APIOperation) -> None:
        statuses = asked.setdefault(operation.label, set())

        @seed(1)
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def one(case: schemathesis.Case) -> None:
            status = asyncio.run_coroutine_threadsafe(ask(case), loop).result()
            statuses.add(status)
            assert status < 500, (case.method, case.formatted_path, case.body)

        one()

    for found in schema.get_all_operations():
        await asyncio.to_thread(play, found.ok())
    assert len(asked) > 20
    assert any(status < 300 for statuses in asked.values() for status in statuses)
