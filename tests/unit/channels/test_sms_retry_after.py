from datetime import UTC, datetime

import pytest

from alerting.channels.http import retry_after_s

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
        ("Sun, 01 Mar 2026 13:00:10 +0100", 10.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Mon, 02 Mar 2026 12:00:00 GMT", 3600.0),
        ("120", 120.0),
        ("", None),
        ("inf", None),
        ("tomorrow", None),
    ],
)
def test_retry_after_accepts_seconds_and_dates(value, wait_s):
    assert retry_after_s(value, NOW) == wait_s
