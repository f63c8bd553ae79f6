from __future__ import annotations

from fnmatch import fnmatchcase
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

from alerting.domain.alert import Status
from alerting.domain.principal import RIGHTS, Principal, internal
from alerting.errors import Forbidden

PATTERN = st.text(alphabet="ab*?", max_size=6)
ADA, ZOE = uuid4(), uuid4()


def test_missing_right_is_named() -> None:
    with pytest.raises(Forbidden, match="key:gauges does not have the right 'approve'") as refused:
        Principal("key:gauges", rights=frozenset({"submit"})).require("approve")
    assert (refused.value.http_status, refused.value.exit_code) == (403, 2)
    for right in RIGHTS:
        internal("test").require(right)


@pytest.mark.parametrize(
    ("senders", "sender", "speaks"),
    [
        (("*",), "anybody@example.org", True),
        (("*@Example.org",), "Centre@example.ORG", True),
        (("gauges-?@example.org",), "gauges-12@example.org", False),
        (("a@example.org", "b@example.org"), "b@example.org", True),
        ((), "a@example.org", False),
    ],
)
def test_senders_are_case_insensitive_patterns(
    senders: tuple[str, ...], sender: str, speaks: bool
) -> None:
    assert Principal("key:x", senders=senders).speaks_for(sender) is speaks
    assert Principal("key:x", senders=senders).may_end(sender) is speaks
    assert Principal("key:x", rights=frozenset({"end-any"}), senders=()).may_end(sender)


@given(PATTERN, PATTERN, st.text(alphabet="ab", max_size=6))
def test_limits_of_another_are_never_exceeded(mine: str, theirs: str, sender: str) -> None:
    limited = Principal("key:x", senders=(mine,)).limited_to(Principal("p", senders=(theirs,)))
    if limited.speaks_for(sender):
        assert fnmatchcase(sender, mine)
        assert fnmatchcase(sender, theirs)
    if not Principal("key:x", senders=(mine,)).exceeds(Principal("p", senders=(theirs,))):
        assert not fnmatchcase(sender, mine) or fnmatchcase(sender, theirs)


@pytest.mark.parametrize(
    ("narrow", "wide", "within"),
    [
        ("a@x", "*", True),
        ("*@x", "*@x", True),
        ("*@a.x", "*@*.x", True),
        ("*@x", "?@x", False),
        ("?@x", "*@x", True),
        ("*", "*@x", False),
        ("A@X", "a@x", True),
    ],
)
def test_pattern_within_pattern(narrow: str, wide: str, within: bool) -> None:
    more = Principal("key:x", senders=(narrow,)).exceeds(Principal("person:a", senders=(wide,)))
    assert more == ("" if within else f"the sender {narrow!r}")


def test_excess_is_reported_and_cut() -> None:
    ada = Principal(
        "person:ada",
        rights=frozenset({"submit"}),
        statuses=frozenset({Status.EXERCISE}),
        area=box(0, 0, 2, 2),
    )
    for wider, words in [
        (Principal("k", rights=frozenset({"submit", "policy"})), "the right 'policy'"),
        (Principal("k"), "the status Actual"),
        (Principal("k", statuses=ada.statuses), "an area"),
        (Principal("k", statuses=ada.statuses, area=box(1, 1, 3, 3)), "an area"),
        (Principal("k", statuses=ada.statuses, area=box(1, 1, 2, 2)), ""),
    ]:
        assert wider.exceeds(ada) == words
        assert wider.limited_to(ada).exceeds(ada) == ""
    cut = Principal("k", area=box(1, 1, 3, 3)).limited_to(ada)
    assert cut.area is not None
    assert cut.area.equals(box(1, 1, 2, 2))
    beside = Principal("k", area=box(5, 5, 6, 6)).limited_to(ada)
    assert beside.area is not None
    assert beside.area.is_empty, "nothing in common is nowhere, not anywhere"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Principal("person:ada", ADA), Principal("person:ada key:a-1", ADA), True),
        (Principal("person:ada", ADA), Principal("person:zoe", ZOE), False),
        (Principal("person:ada", ADA), Principal("person:zoe key:z", ZOE, holders={ADA}), True),
        (Principal("person:ada", ADA), Principal("key:gauges", holders={ADA}), True),
        (Principal("person:ada", ADA), Principal("key:gauges"), False),
        (Principal("key:gauges"), Principal("key:gauges"), True),
        (Principal("key:gauges"), Principal("key:sirens"), False),
        (Principal("key:gauges", holders={ADA}), Principal("key:sirens", holders={ADA}), True),
        # Whoever only made the keys of both stands between nobody.
        (
            Principal("person:zoe key:z", ZOE, holders={ADA}),
            Principal("person:ben key:b", uuid4(), holders={ADA}),
            False,
        ),
    ],
)  # fmt: skip
def test_may_be_the_same_person(one: Principal, other: Principal, same: bool) -> None:
    assert one.may_be(other) is same
    assert other.may_be(one) is same


@pytest.mark.parametrize(
    ("actor", "names"),
    [
        ("person:ada", {"person:ada"}),
        ("person:ada key:a-1", {"person:ada key:a-1", "person:ada", "key:a-1", "a-1"}),
        ("key:gauges", {"key:gauges", "gauges"}),
        ("key:person:ada", {"key:person:ada"}),
        ("key:my old key:x", {"key:my old key:x"}),
        ("scheduler", {"scheduler"}),
    ],
)
def test_names_known_to_a_policy(actor: str, names: set[str]) -> None:
    assert set(Principal(actor).names) == names
