"""What Prometheus reads. Labels have few values: never a citizen, an address or an alert."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter(
    "alerting_http_requests_total", "Requests answered", ["method", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "alerting_http_request_seconds", "Time to answer a request", ["method", "route"]
)
BAD_SIGNATURES = Counter(
    "alerting_webhook_bad_signatures_total", "Callbacks refused for their signature"
)
REFUSED = Counter(
    "alerting_http_refused_total",
    "Requests of nobody known (401) or without the right (403)",
    ["status"],
)
