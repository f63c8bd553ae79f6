"""What is drawn by chance in a play, with its weights."""

from __future__ import annotations

from hypothesis import strategies as st
from scene import HAZARDS, HOW, Act, Idle, Work

from alerting.domain.alert import MsgType, Scope, Severity, Status

AREAS = st.sampled_from(["A", "B", "AB", "AB", "BC", "C"])
PART = st.sampled_from(["", "", "", "first", "last"])
HIGH_PRIORITY = st.sampled_from([Severity.SEVERE, Severity.SEVERE, Severity.EXTREME])
DANGERS = st.sampled_from(HAZARDS[:3])
AGENCY = st.sampled_from(["met", "met", "met", "fire"])
PICK = st.integers(0, 30)
REFERS = st.sampled_from(["right"] * 5 + ["several"] + list(HOW))
OVER = st.sampled_from(["past", "clear", "at-issue"])
KIND = st.sampled_from([MsgType.UPDATE, MsgType.CANCEL])
KINDS = st.sampled_from(list(MsgType)[:3])
CLOSED = st.sampled_from(
    [
        {"status": Status.EXERCISE},
        {"status": Status.EXERCISE, "scope": Scope.PRIVATE},
        {"status": Status.TEST, "addresses": ()},
        {"scope": Scope.PRIVATE},
        {"scope": Scope.PRIVATE, "addresses": ("harbour",)},
    ]
)
GAP = st.sampled_from([0, 1, 1, 7, 61, 400])
#: What workers do after something was done.
THEN: st.SearchStrategy[tuple[Act, ...]] = st.sampled_from([(Idle(),)] * 3 + [(Work(),), ()])
