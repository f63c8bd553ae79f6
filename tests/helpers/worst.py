"""Documents made to cost: each kind is one thing without end, as large as it may be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from random import Random

#: What `POST /v1/alerts` takes.
MOST_BYTES = 2_000_000

_HEAD = (
    '<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>worst-1</identifier>'
    "<sender>worst@example.org</sender><sent>2026-11-01T00:00:00+00:00</sent>"
    "<status>Actual</status><msgType>Update</msgType><scope>Public</scope>"
)
_INFO = (
    "<info><language>en</language><category>Met</category><event>Flood</event>"
    "<urgency>Immediate</urgency><severity>Severe</severity><certainty>Likely</certainty>"
)
_AREA = "<area><areaDesc>Lower Port</areaDesc><circle>50.5,8.5 10</circle></area>"

Points = list[tuple[float, float]]


def _repeated(part: str, most: int = MOST_BYTES - 2_000) -> str:
    return part * (most // len(part.encode()))


def document(inner: str = _AREA, *, infos: str = "", top: str = "", after: str = "") -> bytes:
    return f"{_HEAD}{top}{_INFO}{inner}</info>{infos}</alert>{after}".encode()


def _ring(points: Points) -> str:
    return " ".join(f"{lat:.5f},{lon:.5f}" for lat, lon in [*points, points[0]])


def _polygons(*rings: Points) -> bytes:
    shapes = "".join(f"<polygon>{_ring(r)}</polygon>" for r in rings)
    return document(f"<area><areaDesc>Lower Port</areaDesc>{shapes}</area>")


def _areas(*rings: Points) -> bytes:
    return document(
        "".join(
            f"<area><areaDesc>Part {n}</areaDesc><polygon>{_ring(r)}</polygon></area>"
            for n, r in enumerate(rings)
        )
    )


def _text(part: str, name: str = "description") -> bytes:
    """A text of one part again and again; XML's marks are escaped."""
    escaped = part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return document(f"<{name}>{_repeated(escaped, _TEXT)}</{name}>{_AREA}")


_TEXT = 290_000


def scribble(rng: Random, count: int) -> Points:
    return [(rng.uniform(50, 51), rng.uniform(8, 9)) for _ in range(count)]


def comb(_: Random, count: int) -> Points:
    """Valid, and every tooth is as long as the whole."""
    teeth = [(50 + i % 2 * 0.9 + i * 1e-6, 8 + i % 2 + i * 1e-5) for i in range(count)]
    return [*teeth, (52.0, 10.0), (49.0, 10.0), (49.0, 8.0)]


def coast(rng: Random, count: int) -> Points:
    """A real area's outline: around, with bays and crags, never across itself."""
    points = []
    for i in range(count):
        at = 2 * math.pi * i / count
        reach = 0.4 + 0.05 * math.sin(40 * at) + rng.uniform(0, 2 / count)
        points.append((50.5 + reach * math.sin(at), 8.5 + reach * math.cos(at)))
    return points


def sticks(_: Random, count: int) -> Iterator[Points]:
    """Rectangles of which each crosses half of the others."""
    for n in range(count):
        at = n / count
        if n % 2:
            yield [(50 + at, 8), (50 + at, 9), (50 + at + 1e-4, 9), (50 + at + 1e-4, 8)]
        else:
            yield [(50, 8 + at), (51, 8 + at), (51, 8 + at + 1e-4), (50, 8 + at + 1e-4)]


def squares(rng: Random, count: int, side: float = 0.3) -> Iterator[Points]:
    for _ in range(count):
        lat, lon = rng.uniform(50, 51), rng.uniform(8, 9)
        yield [(lat, lon), (lat, lon + side), (lat + side, lon + side), (lat + side, lon)]


def _json(**changes: object) -> bytes:
    alert = {
        "identifier": "worst-1", "sender": "worst@example.org", "status": "Actual",
        "sent": "2026-11-01T00:00:00+00:00", "msgType": "Alert", "scope": "Public",
        "info": [{
            "category": ["Met"], "event": "Flood", "urgency": "Immediate", "severity": "Severe",
            "certainty": "Likely", "area": [{"areaDesc": "x", "circle": ["50.5,8.5 10"]}],
        }],
    }  # fmt: skip
    return json.dumps(alert | changes, separators=(",", ":")).encode()


def _words(rng: Random, count: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(count))


KINDS: dict[str, Callable[[Random], bytes]] = {
    # Shapes
    "scribble-small": lambda r: _polygons(scribble(r, r.randint(60, 120))),
    "scribble": lambda r: _polygons(scribble(r, r.randint(300, 3_000))),
    "scribble-large": lambda r: _polygons(scribble(r, 93_000)),
    "scribbles": lambda r: _areas(*(scribble(r, 60) for _ in range(500))),
    "comb": lambda r: _polygons(comb(r, r.randint(1_000, 50_000))),
    "coast": lambda r: _polygons(coast(r, r.randint(5_000, 92_000))),
    "coasts": lambda r: _areas(*(coast(r, 1_800) for _ in range(50))),
    "sticks": lambda r: _polygons(*sticks(r, r.randint(100, 950))),
    "sticks-apart": lambda r: _areas(*sticks(r, r.randint(100, 950))),
    "squares": lambda r: _areas(*squares(r, 950)),
    "world": lambda r: _areas(*squares(r, 500, side=60)),
    "circles": lambda r: document(
        "<area><areaDesc>x</areaDesc>"
        + "".join(
            f"<circle>{lat:.3f},{lon:.3f} {r.randint(1, 900)}</circle>"
            for lat, lon in scribble(r, 950)
        )
        + "</area>"
    ),
    "points": lambda r: document(
        f"<area><areaDesc>x</areaDesc><polygon>{_repeated('1,1 ')}</polygon></area>"
    ),
    "points-blank": lambda r: document(
        f"<area><areaDesc>x</areaDesc><polygon>{_repeated('1 2 ')}</polygon></area>"
    ),
    # Many of one thing
    "elements": lambda r: document(_repeated("<a/>")),
    "areas": lambda r: document(
        _repeated("<area><areaDesc>a</areaDesc><circle>1,1 1</circle></area>")
    ),
    "areas-allowed": lambda r: document(
        "".join(
            f"<area><areaDesc>{_words(r, 3)}</areaDesc><geocode><valueName>A</valueName>"
            f"<value>{n}</value></geocode></area>"
            for n in range(950)
        )
    ),
    "geocodes": lambda r: document(
        "<area><areaDesc>a</areaDesc>"
        + "".join(
            f"<geocode><valueName>UGC</valueName><value>{_words(r, 2)}</value></geocode>"
            for _ in range(2_300)
        )
        + "</area>"
    ),
    "geocode-list": lambda r: document(
        "<area><areaDesc>a</areaDesc><geocode><valueName>UGC</valueName>"
        f"<value>{_repeated('TXC001 ', 19_000)}</value></geocode></area>"
    ),
    "infos": lambda r: document(infos=_repeated(f"{_INFO}</info>")),
    "infos-allowed": lambda r: document(
        infos="".join(
            f"{_INFO}<headline>{_words(r, 8)}</headline><description>{_words(r, 200)}"
            f"</description>{_AREA}</info>"
            for _ in range(98)
        )
    ),
    "parameters": lambda r: document(
        _AREA.replace("<area>", "")[:0]
        + _repeated("<parameter><valueName>a</valueName><value>1</value></parameter>", 170_000)
        + _AREA
    ),
    "attributes": lambda r: document(_repeated('<area a="1"/>')),
    "attributes-of-one": lambda r: document(
        "<area " + " ".join(f'a{n}="1"' for n in range(150_000)) + "/>" + _AREA
    ),
    "references": lambda r: document(
        top="<references>"
        + _repeated("worst@example.org,old,2026-11-01T00:00:00+00:00 ")
        + "</references>"
    ),
    "references-allowed": lambda r: document(
        top="<references>"
        + "".join(f"worst@example.org,old-{n},2026-10-31T00:00:00+00:00 " for n in range(490))
        + "</references>"
    ),
    "references-loose": lambda r: document(top=f"<references>{_repeated('a,')}</references>"),
    "addresses": lambda r: document(top=f"<addresses>{_repeated('a ')}</addresses>"),
    "incidents": lambda r: document(top=f"<incidents>{_repeated('fire9 ')}</incidents>"),
    "identifier": lambda r: document().replace(b"worst-1", _repeated("long").encode()),
    "sender": lambda r: document().replace(b"worst@example.org", _repeated("long").encode()),
    "resource": lambda r: document(
        "<resource><resourceDesc>x</resourceDesc><mimeType>image/png</mimeType><derefUri>"
        + _repeated("iVBORw0K", 1_800_000)
        + f"</derefUri></resource>{_AREA}"
    ),
    # Texts
    "anchors": lambda r: _text("<a href=http://x>"),
    "anchors-closed": lambda r: _text("<a href=http://x>x</a>"),
    "items": lambda r: _text("<li" + " " * r.randint(1, 100_000)),
    "blanks": lambda r: _text(" " * 1_000),
    "long-word": lambda r: _text("a"),
    "leave-marks": lambda r: document(
        f"<description>{'[[leave-' * 15_000}{'link]]' * 15_000}</description>{_AREA}"
    ),
    "bold": lambda r: _text(" **a"),
    "links": lambda r: _text("[a](http://x"),
    "references-in-text": lambda r: _text("&#" + "9" * 5_000 + ";"),
    "sentences": lambda r: _text("Go. ", name="instruction"),
    "numbers": lambda r: _text("12:30 M5.1 case 4711 ", name="instruction"),
    "capitals": lambda r: _text("in Lower Port ", name="instruction"),
    "words": lambda r: document(f"<description>{_words(r, 40_000)}</description>{_AREA}"),
    "ideographs": lambda r: _text("避難してください。"),
    "too-much-text": lambda r: document(f"<description>{_words(r, 280_000)}</description>{_AREA}"),
    "headline": lambda r: document(f"<headline>{_words(r, 2_500)}</headline>{_AREA}"),
    # What is no CAP
    "ampersands": lambda r: document(f"<description>{_repeated('& ')}</description>"),
    "controls": lambda r: document("<description>" + _repeated("\x01") + "</description>"),
    "comments": lambda r: b"<!---->" * 280_000 + document(),
    "comments-inside": lambda r: document(_repeated("<!---->")),
    "blanks-before": lambda r: b" " * 1_990_000 + document(),
    "deep": lambda r: document("<a>" * 300_000),
    "entities": lambda r: document(f"<description>{_repeated('&amp;')}</description>{_AREA}"),
    "cdata": lambda r: document(f"<description>{_repeated('<![CDATA[x]]>')}</description>{_AREA}"),
    "feed": lambda r: b"<feed>" + b"<entry><a/></entry>" * 100_000 + b"</feed>",
    "many-alerts": lambda r: b"<x>" + document() * 3_000 + b"</x>",
    "nothing": lambda r: b"x" * 2_000_000,
    # JSON
    "json-deep": lambda r: b'{"a":' + b"[" * 990_000 + b"]" * 990_000 + b"}",
    "json-empty": lambda r: b'{"info":[' + b"{}," * 600_000 + b"{}]}",
    "json-wrong": lambda r: _json(addresses=[1] * 180_000),
    "json-texts": lambda r: _json(addresses=["a"] * 180_000),
    "json-number": lambda r: _json().replace(b'"worst-1"', b"9" * 1_900_000),
    "json-names": lambda r: json.dumps({f"n{n}": 1 for n in range(19_000)}).encode(),
    "json-points": lambda r: _json(
        info=[
            {
                "category": ["Met"], "event": "Flood", "urgency": "Immediate",
                "severity": "Severe", "certainty": "Likely",
                "area": [{"areaDesc": "x", "polygon": [_ring(coast(r, 92_000))]}],
            }
        ]
    ),
}  # fmt: skip
