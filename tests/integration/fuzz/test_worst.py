"""No document costs more of the processor than it may, of whatever kind (design, P15).

Each kind is tried once with a fixed seed; `make fuzz` tries all again and again by chance:
FUZZ_RUNS times from FUZZ_SEED.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from xml.sax.saxutils import escape

import pytest
import shapely
from sizes import size
from worst import KINDS, MOST_BYTES, document

from alerting.audience import h3_cover
from alerting.audience.zones import Zones
from alerting.cap import from_json, read, to_json
from alerting.cap.reader import read_alert
from alerting.channels.render import render
from alerting.citizen.alert_page import alert_page, reading
from alerting.dispatch.intake.submission import prepare
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.geometry import grown
from alerting.domain.ground import beyond
from alerting.domain.principal import internal
from alerting.errors import BadInput
from alerting.throttle.cover import covers
from alerting.throttle.events import stored_signature
from alerting.throttle.events.signature import blocks, seek

#: Processor seconds, of this process: 0.3 on a quiet core, which a neighbour on it makes a third
#: dearer. A planner finds people while others wait for nothing; a real
#: coast of 93,000 points takes it one.
MOST_S = 0.4
MOST_PLANNING_S = 1.5

RUNS = size(1, 10, "FUZZ_RUNS")
SEED = int(os.environ.get("FUZZ_SEED", "1"))

GROUND = shapely.Point(8.5, 50.5).buffer(0.5, quad_segs=1_200)


def intake(data: bytes) -> Alert | None:
    """What accepting a document takes, but for what PostgreSQL does; None where it is refused."""
    try:
        read_within = partial(read_alert, max_bytes=MOST_BYTES)
        prepared = prepare(internal("test"), data, read=read_within)
    except BadInput:
        return None
    one = prepared.signature
    blocks(one), seek(one), stored_signature.to_bytes(one)
    return prepared.alert


def authority(alert: Alert) -> None:
    beyond(alert, GROUND)


def succession(alert: Alert) -> None:
    covers(replace(alert, infos=alert.infos[1:] or alert.infos), alert)


def planning(alert: Alert) -> None:
    zones = Zones(from_json(to_json(alert)))
    h3_cover.ranges(grown(zones.reach, 500.0))
    zones.geocodes()


def rendering(channel: str) -> Callable[[Alert], None]:
    def rendered(alert: Alert) -> None:
        render(alert, info_no=0, area_no=0, channel=channel, language="en", link="https://x.org/a")

    return rendered


def page(alert: Alert) -> None:
    alert_page(alert, AlertState.ACCEPTED, reading=reading(alert, "en"), path="/a/x")


USES: dict[str, Callable[[Alert], None]] = {
    "authority": authority,
    "succession": succession,
    "planning": planning,
    "page": page,
    **{channel: rendering(channel) for channel in ("sms", "email", "push")},
}


def cost_s(work: Callable[[], Any], most_s: float = MOST_S) -> tuple[float, Any]:
    """What it takes, the least of three tries: a neighbour on the same core makes each dearer."""
    least = float("inf")
    for _ in range(3):
        start = time.process_time()
        result = work()
        least = min(least, time.process_time() - start)
        if least <= most_s:
            break
    return least, result


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """What is made once in a process is not one document's cost."""
    examples = Path(__file__).parents[3] / "examples"
    alert = intake(examples.joinpath("flood.xml").read_bytes())
    assert alert is not None
    for use in USES.values():
        use(alert)


@pytest.mark.parametrize("kind", KINDS)
def test_worst_document_stays_within_limits(kind: str) -> None:
    for run in range(RUNS):
        seed = SEED + run
        data = KINDS[kind](Random(seed))
        assert len(data) <= MOST_BYTES, len(data)
        spent, alert = cost_s(partial(intake, data))
        costs = {"intake": spent}
        if alert is not None:
            costs |= {name: cost_s(partial(use, alert))[0] for name, use in USES.items()}
        print(kind, seed, alert is not None, {n: round(s, 3) for n, s in costs.items()})
        dear = {
            name: spent
            for name, spent in costs.items()
            if spent > (MOST_PLANNING_S if name == "planning" else MOST_S)
        }
        assert not dear, f"seed {seed}: {dear}"


@pytest.mark.parametrize("channel", ["sms", "email", "push"])
@pytest.mark.parametrize("part", ["<a href=http://x>x</a> ", "see http://x.org/a. ", "Go. "])
def test_a_text_is_prepared_once_for_all_areas(channel: str, part: str) -> None:
    """A chunk composes for each area its citizens are in, of which an alert may have a thousand."""
    areas = "".join(
        f"<area><areaDesc>Part {n}</areaDesc><circle>50.5,8.5 {n}</circle></area>"
        for n in range(1, 21)
    )
    texts = _repeated_in(part, "description") + _repeated_in(part, "instruction")
    alert = intake(document(texts + areas))
    assert alert is not None

    def composed() -> None:
        for area_no in range(20):
            render(
                alert,
                info_no=0,
                area_no=area_no,
                channel=channel,
                language="en",
                link="https://x.org/a",
            )

    spent, _ = cost_s(composed)
    assert spent <= MOST_S


def _repeated_in(part: str, name: str) -> str:
    return f"<{name}>{escape(part) * (30_000 // len(part))}</{name}>"


def test_issued_alerts_are_not_refused() -> None:
    """Bounds that a real warning does not keep would be worse than none."""
    corpus = os.environ.get("ALERTING_CORPUS")
    if not corpus:
        pytest.skip("ALERTING_CORPUS names no documents")
    from alerting.cap.refusal import refuse_costly, refuse_large

    seen = 0
    for path in sorted(Path(corpus).rglob("*")):
        if path.suffix not in {".xml", ".cap"} or "field" in path.parts:
            continue
        data = path.read_bytes()
        try:
            alerts = read(data).alerts
        except BadInput:
            continue
        if len(alerts) == 1:
            refuse_costly(data)
        for alert in alerts:
            refuse_large(alert)
            seen += 1
    assert seen > 100
