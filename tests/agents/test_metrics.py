"""`/metrics`: what a request adds to the figures, and who may read them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_world import World, world
from callers import bearer, made, status
from prometheus_client.parser import text_string_to_metric_families
from standins.scripted import Reply

from sparkctl.agents.core import metrics
from sparkctl.agents.core.metrics import TOOLS, Metrics

KEY = "key-of-the-scraper"


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A gateway with a key for scrapes, which waits for its engine."""
    monkeypatch.setattr(metrics, "LOOK_SECONDS", 60.0)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "metrics-key").write_text(KEY)
    with world(tmp_path) as gateway:
        yield gateway


def figures(gateway: World) -> dict[str, float]:
    """Every sample as `name{label=value,...}`."""
    response = gateway.client.get("/metrics", headers=bearer(KEY))
    assert response.status_code == 200, response.text
    samples = [one for family in text_string_to_metric_families(response.text) for one in family.samples]
    names = (
        one.name + ("{" + ",".join(f"{k}={v}" for k, v in sorted(one.labels.items())) + "}" if one.labels else "")
        for one in samples
    )
    return dict(zip(names, (one.value for one in samples), strict=True))


def test_what_a_routed_request_adds(measured: World) -> None:
    answer = measured.client.post("/chat", json={"message": "coding please"}).json()
    with measured.client.stream("POST", "/chat/stream", json={"message": "hello"}) as response:
        assert response.read()
    found = figures(measured)
    assert found["sparkctl_runs_total{agent=coding,outcome=done}"] == 1
    assert found["sparkctl_routes_total{source=supervisor,target=coding}"] == 1
    assert found["sparkctl_run_seconds_count{agent=coding}"] == 1
    assert found["sparkctl_first_token_seconds_count{agent=coding}"] == 1
    assert found["sparkctl_tokens_total{kind=prompt}"] >= answer["usage"]["prompt_tokens"]
    assert found["sparkctl_http_requests_total{method=POST,route=/chat,status=200}"] == 1
    assert found["sparkctl_http_first_byte_seconds_count{route=/chat/stream}"] == 1
    assert (found["sparkctl_streams"], found["sparkctl_runs_active"]) == (0, 0)
    assert (found["sparkctl_engine_up{model=main}"], found["sparkctl_database_up"]) == (1, 1)


def test_a_run_that_fails_has_its_code(tmp_path: Path) -> None:
    with world(tmp_path, lambda _body: Reply(status=500)) as gateway:
        (tmp_path / "secrets" / "metrics-key").write_text(KEY)
        gateway.client.post("/chat", json={"message": "hello"})
        found = figures(gateway)
    assert found["sparkctl_runs_total{agent=supervisor,outcome=engine_failed}"] == 1


def test_an_engine_that_is_away(measured: World, tmp_path: Path) -> None:
    dead = measured.document.models["main"].model_copy(update={"url": "http://127.0.0.1:1/v1"})
    (tmp_path / "more").mkdir()
    with world(tmp_path / "more") as gateway:
        served = gateway.client.app.state.platform.endpoints.by_name["main"]  # type: ignore[attr-defined]
        served.client.base_url = dead.url
        assert gateway.client.get("/metrics").text.count('sparkctl_engine_up{model="main"} 0.0') == 1


def test_nobody_reads_them_without_a_key_for_it(measured: World) -> None:
    assert status(measured, "/metrics", KEY) == 200
    assert status(measured, "/metrics", made(measured, scopes=["metrics"])["key"]) == 200
    assert status(measured, "/metrics", made(measured)["key"]) == 403
    assert status(measured, "/metrics", "guess") == 401
    for path in ("/keys", "/audit", "/sessions"):
        assert status(measured, path, KEY) == 403


def test_labels_have_bounds(measured: World) -> None:
    for number in range(30):
        measured.client.get(f"/of-my-making-{number}")
        measured.client.get(f"/sessions/{number}")
        measured.client.request(f"VERB{number}", "/chat")
    found = [name for name in figures(measured) if name.startswith("sparkctl_http_requests_total")]
    assert "sparkctl_http_requests_total{method=GET,route=unmatched,status=404}" in found
    assert "sparkctl_http_requests_total{method=GET,route=/sessions/{session_id},status=404}" in found
    assert len(found) < 10
    assert {Metrics()._tool(f"tool-{number}") for number in range(3)} == {f"tool-{number}" for number in range(3)}


def test_a_model_that_makes_up_tools_makes_no_figures_of_them() -> None:
    seen = Metrics()
    names = {seen._tool(f"tool-{number}") for number in range(3 * TOOLS)}
    assert len(names) == TOOLS + 1
    assert "other" in names
