"""Plays for the faults that are known: each went wrong once, and is always played."""

from __future__ import annotations

from plays_ends import CANCEL, PARTS, REAL, TO_FIRST, UPDATE
from scene import Act, Approve, CallOff, Idle, Join, Keep, Rules, Say, Step

from alerting.domain.alert import MsgType, Scope, Severity, Status


def _drill(no: int, kind: MsgType, *, nobody: object = False, **more: object) -> Say:
    values: dict[str, object] = {
        "status": Status.EXERCISE,
        "sender": "prank",
        "refs": TO_FIRST,
        "areas": "AB",
        "addresses": ("harbour",) if nobody else ("lighthouse",),
    }
    return Say(no, "Flood", kind, **values | more)  # type: ignore[arg-type]


_CLASSES: dict[str, dict[str, object]] = {
    "exercise": {"status": Status.EXERCISE},
    "exercise for nobody": {"status": Status.EXERCISE, "scope": Scope.PRIVATE, "nobody": True},
    "test": {"status": Status.TEST, "addresses": ()},
    "private": {"status": Status.ACTUAL, "scope": Scope.PRIVATE, "nobody": True},
    "own exercise": {"sender": "met"},
}

#: Drills, tests and closed alerts beside what is real.
WALL: dict[str, tuple[Act, ...]] = {
    **{
        f"{k} cancels": (*REAL, _drill(1, CANCEL, **v), Idle())
        for k, v in _CLASSES.items()
        if k != "exercise"
    },
    **{
        f"{k} updates before anybody is told": (
            Say(0, "Flood", areas="AB"),
            Step(1),
            _drill(1, UPDATE, **v),
            Idle(),
        )
        for k, v in _CLASSES.items()
        if k in {"exercise", "test", "private"}
    },
    "exercise dated ahead, then a graver update": (
        *REAL,
        _drill(1, UPDATE, ahead_s=30, sender="met"),
        Step(10),
        Say(2, "Flood", UPDATE, areas="AB", refs=TO_FIRST, severity=Severity.EXTREME, do=1),
        Idle(),
    ),
    "real alert that names an exercise": (
        Say(0, "Flood", areas="C", status=Status.EXERCISE),
        Idle(),
        Step(60),
        Say(1, "Flood", areas="C", refs=TO_FIRST),
        Idle(),
    ),
    "real update that names an exercise": (
        Say(0, "Flood", areas="C", status=Status.EXERCISE),
        Idle(),
        Step(60),
        Say(1, "Flood", UPDATE, areas="C", refs=TO_FIRST),
        Idle(),
    ),
    "exercise merged with what is real": (
        Say(0, "Flood", areas="C", status=Status.EXERCISE, sender="fire"),
        Idle(),
        Step(60),
        Say(1, "Flood", areas="C"),
        Join(1, 0),
        Idle(),
    ),
    "exercise in a real thread, then the real one is called off": (
        *REAL,
        _drill(1, UPDATE),
        Idle(),
        Step(60),
        CallOff(0, false_alarm=True),
        Idle(),
    ),
}

#: Who may, and by whose clock.
RIGHTS: dict[str, tuple[Act, ...]] = {
    "a stranger cancels": (
        *REAL, Say(1, "Flood", CANCEL, areas="AB", refs=TO_FIRST, sender="prank"), Idle(),
    ),
    "a stranger gives the all-clear": (
        *REAL, Say(1, "Flood", UPDATE, areas="AB", refs=TO_FIRST, sender="prank", over="clear"),
        Idle(),
    ),
    "a stranger replaces what nobody was told yet": (
        Say(0, "Flood", areas="AB"), Step(1),
        Say(1, "Flood", UPDATE, areas="AB", refs=TO_FIRST, sender="prank", severity=Severity.MINOR),
        Idle(),
    ),
    "a stranger calls off": (*REAL, CallOff(0, by="prank"), Idle()),
    "a stranger cancels in the agency's name": (
        *REAL, Say(1, "Flood", CANCEL, areas="AB", refs=TO_FIRST, by="prank"), Idle(),
    ),
    "a stranger warns in the agency's name": (Say(0, "Flood", areas="AB", by="prank"), Idle()),
    "approved by the same person": (
        Rules(2), Say(0, "Flood", areas="AB"), Idle(), Approve(0, by="met-cli"), Idle(),
    ),
    "merged with another danger before it is told": (
        Say(0, "Earthquake", areas="AB"), Idle(), Step(60),
        Say(1, "Flood", areas="B"), Join(1, 0), Idle(),
    ),
    "an update that is held": (
        Rules(5), Say(0, "Flood", areas="A"), Step(1),
        Say(1, "Flood", UPDATE, areas="AB", refs=TO_FIRST), Idle(),
    ),
    "its clock was ahead, then a graver update": (
        Say(0, "Flood", areas="AB", ahead_s=40), Idle(), Step(20),
        Say(1, "Flood", UPDATE, areas="AB", refs=TO_FIRST, severity=Severity.EXTREME, do=1), Idle(),
    ),
    "a host with a wrong clock runs maintenance": (
        Say(0, "Flood", areas="AB", severity=Severity.EXTREME, hours=0.5), Keep(3600), Idle(),
    ),
}  # fmt: skip

#: Those after which somebody must still end what stands.
OPEN = {
    **{f"wall: {k}": v for k, v in WALL.items()},
    **{f"part: {k}": v for k, v in PARTS.items()},
    **{f"right: {k}": v for k, v in RIGHTS.items()},
}
