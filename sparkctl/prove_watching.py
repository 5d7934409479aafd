"""Proofs of what watches the platform: Prometheus reads every target, and Grafana reads Prometheus."""

import base64
import http.client
import json
import time
import urllib.error
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from sparkctl.prove import Look, Proof, Shown, Tell, read_json, read_key, timed
from sparkctl.stacks.observability import INTERVAL, PROMETHEUS, TIMEOUT, Door
from sparkctl.topology import LOOPBACK
from sparkctl.transport.session import Session

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.stacks.observability import Observability

WAIT = float(INTERVAL + TIMEOUT)
"""Seconds until all targets are read: what came up a moment ago is read at the next scrape."""
PAUSE = 1.0
UNAUTHORIZED = 401
_UNREADABLE = (OSError, ValueError, http.client.HTTPException)


def prove_watching(
    config: "Config", watching: "Observability", sessions: Mapping[str, Session], tell: Tell
) -> list[Proof]:
    """A proof of each that is deployed."""
    proofs = list[Proof]()
    for door in watching.doors:
        tell(f"proving: {door.service}")
        with sessions[config.cluster.head.name].forward(LOOPBACK, door.port) as local:
            proofs.append(timed(door.service, _look(config, sessions, door, f"http://{LOOPBACK}:{local}")))
    return proofs


def _look(config: "Config", sessions: Mapping[str, Session], door: Door, url: str) -> Look:
    if door.service == PROMETHEUS:
        return partial(read_by_prometheus, url)
    return lambda: read_by_grafana(url, door.user, read_key(config, sessions, door.password))


def read_by_prometheus(url: str) -> Shown:
    """Whether Prometheus has targets and reads all of them, now or within `WAIT`."""
    deadline = time.monotonic() + WAIT
    while not (shown := _targets(url))[0] and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return shown


def read_by_grafana(url: str, user: str, password: str) -> Shown:
    """Whether Grafana is well and its data source answers.

    That is asked with the password that `up` made; where somebody has set another one, it is not.
    """
    logs, login = "sparkctl logs grafana", base64.b64encode(f"{user}:{password}".encode()).decode()
    try:
        read_json(f"{url}/api/health", {})
    except urllib.error.HTTPError as refusal:
        return False, f"it is not well: {_reason(refusal)}", logs
    except _UNREADABLE as error:
        return False, f"Grafana does not answer: {error}", logs
    try:
        headers = {"Authorization": f"Basic {login}"}
        said = read_json(f"{url}/api/datasources/uid/{PROMETHEUS}/health", headers)
    except urllib.error.HTTPError as refusal:
        if refusal.code == UNAUTHORIZED:
            return True, f"it is well; the password of {user} was changed, so its data source was not asked", ""
        return False, f"its data source does not answer: {_reason(refusal)}", logs
    except _UNREADABLE as error:
        return False, f"Grafana does not answer: {error}", logs
    return said.get("status") == "OK", f"its data source says: {said.get('message', 'nothing')}", logs


def _targets(url: str) -> Shown:
    logs = "sparkctl logs prometheus"
    try:
        found: list[dict[str, Any]] = read_json(f"{url}/api/v1/targets?state=active", {})["data"]["activeTargets"]
        down = [_target(one) for one in found if one["health"] != "up"]
    except (*_UNREADABLE, KeyError, TypeError) as error:
        return False, f"Prometheus does not answer: {error}", logs
    if not found:
        return False, "Prometheus reads nothing", logs
    if down:
        return False, f"{len(down)} of {len(found)} targets are not read: {'; '.join(down)}", "sparkctl status"
    return True, f"it reads all of its {len(found)} targets", ""


def _target(one: Mapping[str, Any]) -> str:
    """Where it is, and what was wrong."""
    return f"{one['scrapePool']} at {one['labels']['instance']} ({one['lastError'] or 'not asked yet'})"


def _reason(refusal: urllib.error.HTTPError) -> str:
    try:
        return f"HTTP {refusal.code}, {json.load(refusal)['message']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {refusal.code}"
