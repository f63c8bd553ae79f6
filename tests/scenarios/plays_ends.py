"""Plays of how dangers end: several alerts of one, parts, ends that say so in other ways.

Those in OVER end all that they tell of; of the others a part is left standing.
"""

from __future__ import annotations

from scene import Act, Approve, CallOff, Idle, Join, Part, Ref, Rules, Say, Step, Work

from alerting.domain.alert import MsgType, Severity

UPDATE, CANCEL = MsgType.UPDATE, MsgType.CANCEL
TO_FIRST = (Ref(0),)

#: A real danger that everybody in two areas was told of.
REAL: tuple[Act, ...] = (Say(0, "Flood", areas="AB"), Idle(), Step(60))


_TWINS: tuple[Act, ...] = (
    Say(0, "Flood", areas="AB", severity=Severity.EXTREME),
    Idle(),
    Step(120),
    Say(1, "Flood", areas="AB", severity=Severity.EXTREME),
    Idle(),
    Step(60),
)
_SAME_NAME: tuple[Act, ...] = (
    *_TWINS[:3],
    Say(1, "Flood", areas="AB", severity=Severity.EXTREME, name_of=0),
    Idle(),
    Step(60),
)
_MISTYPED: tuple[Act, ...] = (
    *_TWINS[:3],
    Say(1, "Flood", UPDATE, areas="AB", severity=Severity.EXTREME, refs=(Ref(0, "second"),)),
    Idle(),
    Step(60),
)
_TWO_AGENCIES: tuple[Act, ...] = (
    Say(0, "Flood", areas="A"),
    Idle(),
    Step(60),
    Say(1, "Flood", areas="A", sender="fire"),
    Idle(),
    Step(60),
)
_JOINED: tuple[Act, ...] = (
    Say(0, "Flood", areas="AB"),
    Say(1, "Earthquake", areas="BC", sender="fire"),
    Join(0, 1),
    Idle(),
    Step(60),
)


def _off(*order: int) -> tuple[Act, ...]:
    return tuple(act for no in order for act in (CallOff(no, false_alarm=True), Idle(), Step(30)))


#: Several alerts of one danger, ended in each order.
_ORDERS: dict[str, tuple[Act, ...]] = {
    f"{name}, {'first' if order[0] == 0 else 'second'} first": (*acts, *_off(*order))
    for name, acts in {
        "same text twice": _TWINS,
        "same name twice": _SAME_NAME,
        "mistyped update": _MISTYPED,
        "two agencies": _TWO_AGENCIES,
        "two dangers joined": _JOINED,
    }.items()
    for order in ((0, 1), (1, 0))
} | {
    "same name twice, by name": (
        *_SAME_NAME,
        CallOff(0, by_name=True, false_alarm=True),
        Idle(),
        Step(30),
        CallOff(0, by_name=True, false_alarm=True),
        Idle(),
    ),
    "same text twice, both off before workers run": (
        *_TWINS,
        CallOff(1),
        Step(30),
        CallOff(0),
        Idle(),
    ),
    "same text twice, both off in one second": (*_TWINS, CallOff(0), CallOff(1), Idle()),
    "same text twice, parted": (*_TWINS, Part(1), *_off(0, 1)),
}

_A_IS_OVER = Say(1, "Flood", CANCEL, areas="A", refs=TO_FIRST, over="clear")
_B_GOES_ON = Say(2, "Flood", UPDATE, areas="B", refs=TO_FIRST)

#: Ends for a part of the area, or of one of two alerts that people heard of. Those in one second
#: are among the field's inputs.
PARTS: dict[str, tuple[Act, ...]] = {
    "cancel for a part, then an update for the rest": (
        *REAL, _A_IS_OVER, Idle(), Step(60), _B_GOES_ON, Idle(),
    ),
    "an update for the rest, then a cancel for the part": (
        *REAL, _B_GOES_ON, Idle(), Step(60), _A_IS_OVER, Idle(),
    ),
    "cancel for a part": (*REAL, _A_IS_OVER, Idle()),
    "a copy that was told for it is graver": (
        Say(0, "Flood", areas="AB", severity=Severity.EXTREME), Idle(), Step(400),
        Say(1, "Flood", UPDATE, areas="B", refs=TO_FIRST, do=2), Idle(), Step(60),
        Say(2, "Flood", areas="AB", severity=Severity.EXTREME), Idle(), Step(60),
        CallOff(2), Idle(),
    ),
    "an alert by the next channel, where it is over": (
        Say(0, "Flood", areas="AB"), Idle(), Step(5),
        Say(1, "Flood", CANCEL, areas="B", refs=TO_FIRST, over="clear"), Idle(), Step(200), Idle(),
    ),
    "an end by the next channel, after a newer alert": (
        Say(0, "Flood", areas="B"), Idle(), Step(5), CallOff(0), Idle(), Step(20),
        Say(1, "Flood", UPDATE, areas="B", refs=TO_FIRST, do=1), Idle(), Step(200), Idle(),
    ),
}  # fmt: skip

#: Ends that say so in other ways, or that are hard to place.
_ENDS: dict[str, tuple[Act, ...]] = {
    "cancel in the second of its alert": (
        Say(0, "Flood", areas="AB"), Say(1, "Flood", CANCEL, areas="AB", refs=TO_FIRST), Idle(),
    ),
    # What a Cancel refers to wrongly is in the field's inputs, each case once.
    **{
        f"all-clear whose reference is {how}": (
            *REAL, Say(1, "Flood", UPDATE, areas="AB", refs=(Ref(0, how),), over="clear"), Idle(),
        )
        for how in ("second", "bare", "lost")
    },
    **{
        f"{kind} {over} for {areas or 'no area'}": (
            *REAL, Say(1, "Flood", kind, areas=areas, refs=TO_FIRST, over=over), Idle(),
        )
        for kind, over, areas in (
            (UPDATE, "past", ""), (UPDATE, "clear", "*"), (UPDATE, "at-issue", "AB"),
            (UPDATE, "at-issue", "*"), (CANCEL, "clear", "*"), (CANCEL, "at-issue", "AB"),
        )
    },
    "all-clear without areas that names the first version": (
        *REAL, Say(1, "Flood", UPDATE, areas="AB", refs=TO_FIRST), Idle(), Step(60),
        Say(2, "Flood", UPDATE, areas="", refs=TO_FIRST, over="past"), Idle(),
    ),
    "over at issue, where many wait for a second person": (
        Rules(5), Say(0, "Flood", areas="AB"), Idle(), Approve(0), Idle(), Step(60),
        Say(1, "Flood", UPDATE, areas="AB", refs=TO_FIRST, over="at-issue"), Idle(),
    ),
    "all-clear under the same name": (
        *REAL, Say(1, "Flood", areas="AB", name_of=0, over="clear"), Idle(),
    ),
    "end without references after a day": (
        Say(0, "Flood", areas="AB", hours=72), Idle(), Step(86_400),
        Say(1, "Flood", UPDATE, areas="AB", over="clear"), Idle(),
    ),
    "end after more updates than are looked at": (
        *REAL,
        *(
            Say(n, "Flood", UPDATE, areas="*", refs=TO_FIRST, severity=Severity.EXTREME)
            for n in range(1, 206)
        ),
        Step(1),
        Say(206, "Flood", UPDATE, areas="AB", refs=TO_FIRST, over="clear"), Idle(),
    ),
    "a stranger's cancel is approved": (
        *REAL, Say(1, "Flood", CANCEL, areas="AB", refs=TO_FIRST, sender="fire"), Idle(),
        Step(60), Approve(1), Idle(),
    ),
    "its clock was ahead, then a cancel": (
        Say(0, "Flood", areas="AB", ahead_s=40), Idle(), Step(20),
        Say(1, "Flood", CANCEL, areas="AB", refs=TO_FIRST), Idle(),
    ),
    "all-clear while the alert is in an open window": (
        Say(0, "Flood", areas="AB"),
        Work(
            (("sms", ("takes, worker sleeps",)),),
            (Step(60), Say(1, "Flood", UPDATE, areas="AB", refs=TO_FIRST, over="past"), Work()),
        ),
        Idle(),
    ),
    "all-clear after a worker died with the window open": (
        Say(0, "Flood", areas="AB"),
        Work((("sms", ("takes", "takes, worker dies")),)),
        Step(60), Say(1, "Flood", UPDATE, areas="AB", refs=TO_FIRST, over="past"), Idle(),
    ),
    "cancel after a worker died with the window open": (
        Say(0, "Flood", areas="AB"),
        Work((("sms", ("takes", "takes, worker dies")),)),
        Step(60), CallOff(0), Idle(),
    ),
}  # fmt: skip

OVER = {
    **{f"order: {k}": v for k, v in _ORDERS.items()},
    **{f"end: {k}": v for k, v in _ENDS.items()},
}
