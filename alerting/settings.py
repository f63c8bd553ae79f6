"""Every setting, from the environment or a `.env` file in the working folder.

The three engine addresses have plain names (DATABASE_URL, REDIS_URL, BROKER_URL) because other
tools use them too; all others begin with ALERTING_. Secrets may be given as a file: set
NAME_FILE to its path. Unset engine addresses mean the embedded engines below `var`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from alerting.errors import BadInput

SECRET_FILES = (
    "DATABASE_URL",
    "REDIS_URL",
    "BROKER_URL",
    "ALERTING_TWILIO_AUTH_TOKEN",
    "ALERTING_TWILIO2_AUTH_TOKEN",
    "ALERTING_SMTP_PASSWORD",
    "ALERTING_SMTP2_PASSWORD",
)

_APPROVER = re.compile(r"[^\s@,<>\"]+@[^\s@,<>\"]+|\+[1-9]\d{6,14}")


def for_kombu(broker_url: str) -> str:
    """A broker's URL in Celery's words, which names a unix socket otherwise than Redis's client."""
    parts = urlsplit(broker_url)
    if parts.scheme != "unix":
        return broker_url
    db = parse_qs(parts.query).get("db", ["0"])[0]
    login = parts.netloc.rpartition("@")
    return f"redis+socket://{login[0]}{login[1]}{parts.path}?virtual_host={db}"


Tls = Literal["none", "starttls", "implicit"]


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """One account, or one that speaks Twilio's interface at `base_url`."""

    sid: str
    token: str = field(repr=False)
    base_url: str
    from_: str
    from_extreme: str
    from_drill: str
    messaging_service: str


@dataclass(frozen=True, slots=True)
class SmtpRelay:
    """One mail server that takes our mails."""

    host: str
    port: int
    tls: Tls
    username: str = ""
    password: str = field(default="", repr=False)


class Settings(BaseSettings):
    """See `.env.example` for one line on each."""

    model_config = SettingsConfigDict(
        env_prefix="ALERTING_", env_file=".env", extra="ignore", populate_by_name=True
    )

    var: Path = Path("var")
    database_url: str = Field("", validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    redis_url: str = Field("", validation_alias=AliasChoices("REDIS_URL", "redis_url"))
    broker_url: str = Field("", validation_alias=AliasChoices("BROKER_URL", "broker_url"))

    # The way in
    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""  # empty: the API's own address
    max_alert_bytes: int = 2_000_000
    # Requests a second of one network and of one key, ten seconds' worth at once; 0: any number
    network_rate: float = Field(100, ge=0)
    key_rate: float = Field(50, ge=0)
    # Addresses or networks, comma separated, whose X-Forwarded-For is believed
    trusted_proxies: str = "127.0.0.1"
    log_level: str = "INFO"
    log_format: Literal["console", "json"] = "console"

    # Where Prometheus reads the scheduler, and the n-th child of a worker at port + n; 0: nowhere
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(0, ge=0, le=65_000)
    # An OpenTelemetry collector that takes OTLP over HTTP; empty: none
    otlp_endpoint: str = ""

    # Dispatch
    chunk_size: int = Field(1000, ge=1, le=1000)
    window: int = Field(64, ge=1, le=1000)
    lease_s: float = Field(30, gt=0)
    max_chunk_tries: int = Field(5, ge=1)
    default_expiry_s: float = Field(24 * 3600, gt=0)
    sweep_s: float = Field(1, gt=0)
    retry_s: float = Field(2, gt=0)
    retry_max_s: float = Field(60, gt=0)
    max_tries: int = Field(5, ge=1)
    in_doubt_wait_s: float = Field(5, ge=0)
    in_doubt_hold_s: float = Field(120, ge=0)
    drain_s: float = Field(25, ge=0)
    # Seconds without acceptance, or without a receipt, until the next channel is tried; 0: never
    receipt_extreme_s: float = Field(60, ge=0)
    receipt_severe_s: float = Field(120, ge=0)
    receipt_routine_s: float = Field(1800, ge=0)
    all_channels_lanes: Annotated[tuple[str, ...], NoDecode] = ("extreme",)
    workers: int = Field(2, ge=1)

    # Who hears at once that an alert waits for a second person: mail addresses and numbers
    approvers: Annotated[tuple[str, ...], NoDecode] = ()

    # A drill whose rosters have more members waits for a second person
    drill_roster_max: int = Field(500, ge=1)

    # Deliveries of events that ended so many days ago are pruned; 0 keeps them for ever
    retention_days: int = Field(400, ge=0, le=36_500)

    # A file to which the scheduler writes who said stop, for a restore; empty: none is kept
    stop_list: str = ""

    # Channels: `sandbox` speaks to the carriers inside `alerting up`, `off` refuses
    carriers: Literal["sandbox", "real"] = "sandbox"
    sandbox_port: int = 8090
    sandbox_smtp_port: int = 8025

    twilio_base_url: str = "https://api.twilio.com"
    twilio_account_sid: str = ""
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_from: str = ""
    twilio_from_extreme: str = ""
    twilio_from_drill: str = ""
    twilio_messaging_service: str = ""
    # A second account, used while the first is ill or refuses us
    twilio2_base_url: str = "https://api.twilio.com"
    twilio2_account_sid: str = ""
    twilio2_auth_token: SecretStr = SecretStr("")
    twilio2_from: str = ""
    twilio2_from_extreme: str = ""
    twilio2_from_drill: str = ""
    twilio2_messaging_service: str = ""
    twilio_timeout_s: float = Field(10, gt=0)
    twilio_concurrency: int = Field(64, ge=1)

    smtp_host: str = ""
    smtp_port: int = 587
    smtp_tls: Tls = "starttls"
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp2_host: str = ""
    smtp2_port: int = 587
    smtp2_tls: Tls = "starttls"
    smtp2_username: str = ""
    smtp2_password: SecretStr = SecretStr("")
    smtp_connections: int = Field(16, ge=1)
    smtp_timeout_s: float = Field(20, gt=0)
    mail_from: str = "alerts@example.org"
    mail_from_name: str = "Alerts"
    mail_bounce_domain: str = "bounce.example.org"
    # Where `alerting bounces serve` takes bounces; the sandbox posts its own there
    bounce_host: str = "127.0.0.1"
    bounce_port: int = Field(8026, ge=0, le=65535)

    push_contact: str = "mailto:alerts@example.org"
    push_timeout_s: float = Field(10, gt=0)
    push_concurrency: int = Field(64, ge=1)
    push_origins: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("all_channels_lanes", "push_origins", "approvers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(v.strip() for v in value.split(",") if v.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("approvers")
    @classmethod
    def _reachable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for no, one in enumerate(value, 1):
            if not _APPROVER.fullmatch(one):
                raise ValueError(
                    f"address {no} is neither a mail address nor a number such as +447700900123"
                )
        return value

    @model_validator(mode="after")
    def _default_public_url(self) -> Settings:
        self.public_url = (self.public_url or f"http://{self.local_host}:{self.port}").rstrip("/")
        return self

    @property
    def twilio_accounts(self) -> list[TwilioAccount]:
        """The accounts there are, the preferred first."""
        first = TwilioAccount(
            self.twilio_account_sid,
            self.twilio_auth_token.get_secret_value(),
            self.twilio_base_url,
            self.twilio_from,
            self.twilio_from_extreme,
            self.twilio_from_drill,
            self.twilio_messaging_service,
        )
        second = TwilioAccount(
            self.twilio2_account_sid,
            self.twilio2_auth_token.get_secret_value(),
            self.twilio2_base_url,
            self.twilio2_from,
            self.twilio2_from_extreme,
            self.twilio2_from_drill,
            self.twilio2_messaging_service,
        )
        return [a for a in (first, second) if a.sid]

    @property
    def smtp_relays(self) -> list[SmtpRelay]:
        """The relays there are, the preferred first."""
        first = SmtpRelay(
            self.smtp_host,
            self.smtp_port,
            self.smtp_tls,
            self.smtp_username,
            self.smtp_password.get_secret_value(),
        )
        second = SmtpRelay(
            self.smtp2_host,
            self.smtp2_port,
            self.smtp2_tls,
            self.smtp2_username,
            self.smtp2_password.get_secret_value(),
        )
        return [r for r in (first, second) if r.host]

    @property
    def local_host(self) -> str:
        """How this machine's own processes reach what listens on `host`."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104

    def to_environment(self) -> dict[str, str]:
        """The environment that makes another process read these very settings."""
        plain = {"database_url", "redis_url", "broker_url"}
        environment = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            elif isinstance(value, tuple):
                value = ",".join(value)
            elif isinstance(value, Path):
                value = value.resolve()
            elif name == "broker_url":
                # Celery's own command reads this variable, and takes it before what we tell it.
                value = for_kombu(value)
            environment[name.upper() if name in plain else f"ALERTING_{name.upper()}"] = str(value)
        return environment

    @property
    def embedded_database(self) -> bool:
        return not self.database_url

    @property
    def embedded_redis(self) -> bool:
        return not self.redis_url


def load_settings() -> Settings:
    """Read the settings once from the environment.

    Raises BadInput naming each wrong setting and what it takes.
    """
    for name in SECRET_FILES:
        path = os.environ.get(f"{name}_FILE")
        if path and not os.environ.get(name):
            try:
                os.environ[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as e:
                raise BadInput(
                    f"{name}_FILE names {path}, which cannot be read: {e.strerror}."
                ) from e
    try:
        return Settings()
    except ValidationError as e:
        rows = "; ".join(f"{'.'.join(map(str, r['loc']))}: {r['msg']}" for r in e.errors())
        raise BadInput(f"Wrong settings: {rows}.", remedy="See .env.example.") from e


@lru_cache
def settings() -> Settings:
    """The process's settings; `settings.cache_clear()` reads them anew."""
    return load_settings()
