"""CAP in and out: lenient in, strict out.

`read` accepts what real senders send and reports what it repaired; `to_xml` emits only schema-valid
CAP 1.2; `to_json` and `from_json` are the lossless JSON binding; `check` evaluates the content.
"""

from alerting.cap.binding import from_json, to_json
from alerting.cap.content_check import check
from alerting.cap.plausibility import called_a_test, contradictions
from alerting.cap.reader import Reading, read
from alerting.cap.report import CapError, Finding, Findings, InfoFacts
from alerting.cap.writer import to_xml

__all__ = [
    "CapError",
    "Finding",
    "Findings",
    "InfoFacts",
    "Reading",
    "called_a_test",
    "check",
    "contradictions",
    "from_json",
    "read",
    "to_json",
    "to_xml",
]
