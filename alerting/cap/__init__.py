"""CAP in and out: lenient in, strict out.

`read` accepts what real senders send and reports what it repaired; `to_xml` emits only schema-valid
CAP 1.2; `to_json` and `from_json` are the lossless JSON binding; `check` evaluates the content.
"""

from alerting.cap.binding import from_json, to_json
from alerting.cap.content import check
from alerting.cap.contradictions import contradictions
from alerting.cap.errors import CapError
from alerting.cap.findings import Finding, Findings, InfoFacts
from alerting.cap.reader import Reading, read
from alerting.cap.rehearsed import called_a_test
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
