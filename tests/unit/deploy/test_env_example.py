from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerting.errors import BadInput
from alerting.settings import Settings, load_settings

ROOT = Path(__file__).parents[3]


def test_every_setting_is_listed() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^#([A-Z][A-Z0-9_]*)=", text, re.M))
    assert listed == set(Settings().to_environment())


def test_listed_defaults_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name, value in re.findall(r"^#(ALERTING_[A-Z0-9_]*)=(.+)$", text, re.M):
        monkeypatch.setenv(name, value)
    assert load_settings() == Settings()


def test_secret_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n", encoding="utf-8")
    # Set first, so that it is taken back after the test.
    monkeypatch.setenv("ALERTING_TWILIO_AUTH_TOKEN", "")
    monkeypatch.setenv("ALERTING_TWILIO_AUTH_TOKEN_FILE", str(tmp_path / "token"))
    assert load_settings().twilio_auth_token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(load_settings())
    monkeypatch.setenv("ALERTING_TWILIO_AUTH_TOKEN", "")
    monkeypatch.setenv("ALERTING_TWILIO_AUTH_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(BadInput, match=r"ALERTING_TWILIO_AUTH_TOKEN_FILE names .* cannot be read"):
        load_settings()


def test_settings_round_trip_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Settings(window=7, push_origins=("https://a.example.org", "https://b.example.org"))
    for name, value in own.to_environment().items():
        monkeypatch.setenv(name, value)
    there = load_settings()
    assert there.model_dump(exclude={"var"}) == own.model_dump(exclude={"var"})


@pytest.mark.parametrize(
    ("ours", "celerys"),
    [
        ("", ""),
        ("redis://:p@host:6379/1", "redis://:p@host:6379/1"),
        ("amqp://u:p@host//", "amqp://u:p@host//"),
        (
            "unix:///var/a%20b/redis.sock?db=3",
            "redis+socket:///var/a%20b/redis.sock?virtual_host=3",
        ),
        ("unix://:p@/redis.sock", "redis+socket://:p@/redis.sock?virtual_host=0"),
        ("redis+socket:///redis.sock?virtual_host=3", "redis+socket:///redis.sock?virtual_host=3"),
    ],
)
def test_celery_gets_its_broker_url_form(ours: str, celerys: str) -> None:
    assert Settings(broker_url=ours).to_environment()["BROKER_URL"] == celerys
