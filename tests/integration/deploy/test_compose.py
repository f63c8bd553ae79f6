"""docker-compose.yml: the words of the Compose specification, and commands that really run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from sizes import LONG
from uvicorn.middleware.proxy_headers import _TrustedHosts

from alerting.dispatch.broker import make_app
from alerting.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

#: What the Compose specification lets a file and a service say, with the type it takes; only the
#: words used here.
TOP = {"name": str, "services": dict, "networks": dict, "volumes": dict, "secrets": dict}
SERVICE = {
    "image": str, "build": (str, dict), "restart": str, "env_file": (str, list),
    "environment": (dict, list), "secrets": list, "depends_on": (dict, list), "read_only": bool,
    "tmpfs": (str, list), "security_opt": list, "stop_grace_period": str, "volumes": list,
    "healthcheck": dict, "command": (str, list), "ports": list, "profiles": list, "hostname": str,
    "cap_drop": list, "cap_add": list, "mem_limit": str, "pids_limit": int, "shm_size": str,
    "logging": dict, "networks": list,
}  # fmt: skip
HEALTH = {
    "test": (str, list), "interval": str, "timeout": str, "retries": int, "start_period": str,
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def test_compose_uses_known_keys_and_pinned_images() -> None:
    for key, value in COMPOSE.items():
        if not key.startswith("x-"):
            assert isinstance(value, TOP[key]), key
    for name, service in SERVICES.items():
        for key, value in service.items():
            assert isinstance(value, SERVICE[key]), (name, key)
        for key, value in service.get("healthcheck", {}).items():
            assert isinstance(value, HEALTH[key]), (name, key)
        assert service["restart"] in {"no", "always", "on-failure", "unless-stopped"}
        assert ":" in service["image"], f"{name}: an image without a tag changes by itself"
        assert not service["image"].endswith(":latest")


def test_compose_names_existing_files() -> None:
    for name, service in SERVICES.items():
        for target, how in service.get("depends_on", {}).items():
            assert how["condition"] in CONDITIONS
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[target], (name, target)
        for secret in service.get("secrets", []):
            assert secret in COMPOSE["secrets"]
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            made_by_hand = source.startswith("./secrets/")
            assert source in COMPOSE["volumes"] or made_by_hand or (ROOT / source).exists()
        for key, value in (service.get("environment") or {}).items():
            if key.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_services_have_minimal_privileges() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert set(service.get("cap_add", [])) <= {
            "CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID",
        }  # fmt: skip
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["read_only"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"]["max-size"], name
        for port in service.get("ports", []):
            assert name == "proxy" or port.startswith("127.0.0.1:"), (name, port)


def test_passwords_are_only_in_files() -> None:
    for name, service in SERVICES.items():
        for key, value in (service.get("environment") or {}).items():
            told = {"PASS", "PASSWORD", "TOKEN", "SECRET"} & set(key.split("_"))
            assert not told or key.endswith("_FILE"), (name, key, value)
        assert "requirepass" not in " ".join(service.get("command", [])), name


def test_documented_secrets_are_those_in_use() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    told = "".join(line.lstrip("#") for line in text.splitlines(True) if line.startswith("#   "))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["bash", "-ec", told], cwd=folder, check=True)
        made = {path.name: path.read_text().strip() for path in Path(folder, "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert made["postgres_password"] in made["database_url"]
    assert made["valkey.conf"].removeprefix("requirepass ") in made["redis_url"]


def test_api_trusts_only_the_proxy() -> None:
    subnet = COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert SERVICES["api"]["environment"]["ALERTING_TRUSTED_PROXIES"] == subnet
    # Where Compose finds nothing else to put in, it is a network, as the server reads it.
    usual = ip_network(subnet.removeprefix("${PROXY_SUBNET:-").removesuffix("}"))
    assert str(usual[2]) in _TrustedHosts(str(usual))
    assert {n for n, s in SERVICES.items() if "front" in s.get("networks", [])} == {"api", "proxy"}
    # With a second network in common it might come from that.
    assert SERVICES["proxy"]["networks"] == ["front"]
    assert set(SERVICES["api"]["networks"]) == {"default", "front"}


def test_every_lane_has_a_worker_and_a_health_check() -> None:
    lanes = [
        lane
        for s in SERVICES.values()
        if "-Q" in s.get("command", [])
        for lane in s["command"][s["command"].index("-Q") + 1].split(",")
    ]
    assert sorted(lanes) == ["drill", "extreme", "routine", "severe"]
    for name, service in SERVICES.items():
        assert name == "migrate" or "healthcheck" in service


def test_image_runs_as_unprivileged_user() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "\nUSER alerting\n" in text
    assert '--require-hashes -r "$LOCK"' in text
    assert ":latest" not in text


def test_only_the_sandbox_image_has_engines() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "\nARG LOCK=requirements.lock\n" in text
    locks = {
        name: service["build"]["args"]["LOCK"]
        for name, service in SERVICES.items()
        if isinstance(service.get("build"), dict)
    }
    assert locks == {"sandbox": "requirements-full.lock"}
    shared = {s["image"] for name, s in SERVICES.items() if name not in locks}
    assert SERVICES["sandbox"]["image"] not in shared


#: Both workers are one command with other queues.
SERVED = ["api", "worker-fast", "scheduler", "bounces", *(["worker-bulk"] if LONG else [])]


def as_process(words: list[str]) -> list[str]:
    """The container's command on this machine's interpreter."""
    modules = {"alerting": "alerting.cli", "celery": "celery"}
    return [sys.executable, "-m", modules[words[0]], *words[1:]]


def healthy(service: dict[str, Any], env: dict[str, str]) -> bool:
    """Run the service's own health check once."""
    _, *words = service["healthcheck"]["test"]
    if words[0] == "python":
        ports = {"8080": env["ALERTING_PORT"], "8026": env["ALERTING_BOUNCE_PORT"]}
        for usual, ours in ports.items():
            words = [word.replace(usual, ours) for word in words]
        command = [sys.executable, *words[1:]]
    else:
        command = as_process(words)
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("name", SERVED)
def test_each_service_becomes_healthy(
    name: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        bounces = str(s.getsockname()[1])
    env = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        # As `alerting up` hands it on: Celery's command reads it before we can.
        "BROKER_URL": Settings(broker_url=redis_url).to_environment()["BROKER_URL"],
        "ALERTING_CARRIERS": "sandbox",
        "ALERTING_VAR": str(tmp_path),
        "ALERTING_PORT": port,
        "ALERTING_BOUNCE_PORT": bounces,
    }
    service = SERVICES[name]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            as_process(service["command"]), env=env, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 300
        while not healthy(service, env):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end, (tmp_path / "log").read_text()
        # Nobody who merely reaches the broker may tell a worker to end.
        with make_app(redis_url) as app:
            app.control.broadcast("shutdown")
        assert healthy(service, env)
        assert process.poll() is None, (tmp_path / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        # uvicorn ends cleanly and then dies of the very signal, as the supervisor expects.
        assert process.wait(60) in {0, -signal.SIGTERM}, (tmp_path / "log").read_text()
