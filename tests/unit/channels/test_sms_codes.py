import pytest

from alerting.channels.base import (
    DEAD_ADDRESS,
    OPTED_OUT,
    OUR_FAULT,
    REFUSED_CONTENT,
    THROTTLED,
    TOO_LATE,
    UNREACHABLE,
    Fault,
)
from alerting.channels.sms.twilio_codes import CODES, callback_state, classify
from alerting.domain.delivery import DeliveryState

# The dispatcher's policy, row by row, apart from the table it is held against.
POLICY = {
    OPTED_OUT: (21610,),
    DEAD_ADDRESS: (21211, 21614, 30005),
    REFUSED_CONTENT: (21617, 21408, 21612, 30004, 30007, 30034, 14107),
    OUR_FAULT: (20003, 30002),
    THROTTLED: (20429, 30001, 21611, 63017, 63018, 30022),
    UNREACHABLE: (30006, 30003, 30008, 30017),
    TOO_LATE: (30036,),
}


@pytest.mark.parametrize(("code", "error"), [(c, e) for e, codes in POLICY.items() for c in codes])
def test_classify_code_of_the_policy(code, error):
    assert classify(code) is error
    assert classify(str(code)) is error


def test_classify_stops_provider_only_for_account_errors():
    stops = {code for code, row in CODES.items() if row.error.fault is Fault.OURS}
    per_destination = {21408, 21608, 21610, 21211, 21612, 21614, 30003, 30004, 30007, 30034}
    assert not stops & per_destination


@pytest.mark.parametrize("code", [21999, 0, "", "abc", -1, "²", 99999])
def test_classify_unknown_code_is_harmless(code):
    error = classify(code)
    assert error is REFUSED_CONTENT
    assert not error.suspend
    assert not error.retryable


def test_classify_unknown_network_report_as_unreachable():
    assert classify(30999) is UNREACHABLE
    assert classify("63999") is UNREACHABLE


def test_every_code_has_a_one_sentence_meaning():
    for code, row in CODES.items():
        assert row.meaning.endswith("."), code
        assert len(row.meaning) < 80, code


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("accepted", DeliveryState.ACCEPTED),
        ("queued", DeliveryState.ACCEPTED),
        ("sending", DeliveryState.ACCEPTED),
        ("sent", DeliveryState.ACCEPTED),
        ("delivered", DeliveryState.DELIVERED),
        ("read", DeliveryState.DELIVERED),
        ("Delivered", DeliveryState.DELIVERED),
        ("undelivered", DeliveryState.FAILED),
        ("failed", DeliveryState.FAILED),
        ("receiving", None),
        ("", None),
    ],
)
def test_callback_state_of_status(status, state):
    assert callback_state(status) is state
