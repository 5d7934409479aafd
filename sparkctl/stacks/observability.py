"""Prometheus and Grafana: their files, and their containers on the head's loopback."""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from sparkctl import data
from sparkctl.core.service import Confinement, Service, spec_hash
from sparkctl.engines.engine import API_KEY
from sparkctl.rendering import render
from sparkctl.stacks.agent_ground import CONFIG, METRICS_KEY, MODEL, NODE_KEY, Ground
from sparkctl.topology import LOOPBACK

PROMETHEUS, GRAFANA = "prometheus", "grafana"
GRAFANA_PASSWORD = "grafana-password"  # noqa: S105 - the name of a file
GRAFANA_USER = "admin"
INTERVAL, TIMEOUT = 15, 10
"""Seconds between two scrapes, and for one."""
KEPT = ("--storage.tsdb.retention.time=30d", "--storage.tsdb.retention.size=8GB")
PROMETHEUS_MEMORY, GRAFANA_MEMORY = 1 << 30, 1 << 29
_QUIET = ("ANALYTICS_REPORTING_ENABLED", "ANALYTICS_CHECK_FOR_UPDATES", "ANALYTICS_CHECK_FOR_PLUGIN_UPDATES")
Files = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Door:
    """A page on the head's loopback; `user` and the secret of the `password` are empty where it asks for none."""

    service: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def url(self) -> str:
        """Where it answers on the head."""
        return f"http://{LOOPBACK}:{self.port}"


@dataclass(frozen=True)
class Observability(Ground):
    """What watches the platform of one deployment; nothing of it faces a network."""

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """The containers in start order."""
        made = [self._prometheus()] if self.has("prometheus") else []
        return (*made, *[self._grafana()] * self.has("grafana"))

    @cached_property
    def prometheus_files(self) -> Files:
        """What Prometheus is told, by path below the platform's folder."""
        keys = {"metrics_key_file": METRICS_KEY, "node_key_file": NODE_KEY, "engine_key_file": API_KEY}
        settings = render(
            "prometheus.yml.j2",
            interval=INTERVAL,
            timeout=TIMEOUT,
            gateway=f"{self.config.cluster.api_ip}:{self.config.profile.ports.api}",
            nodes=self.nodes,
            engines=self._engines,
            **{name: f"/run/secrets/{key}" for name, key in keys.items()},
        )
        folder = f"{CONFIG}/{PROMETHEUS}"
        return (f"{folder}/prometheus.yml", settings), (f"{folder}/alerts.yml", data.template("alerts.yml"))

    @cached_property
    def grafana_files(self) -> Files:
        """What Grafana is told: its source, and the dashboards."""
        source = render(
            "grafana/provisioning/datasources.yml.j2", prometheus=f"http://{LOOPBACK}:{self.platform.prometheus_port}"
        )
        provider = data.template("grafana/provisioning/dashboards.yml")
        boards = sorted(data.path("templates/grafana/dashboards").glob("*.json"))
        return (
            (f"{CONFIG}/{GRAFANA}/provisioning/datasources/sparkctl.yml", source),
            (f"{CONFIG}/{GRAFANA}/provisioning/dashboards/sparkctl.yml", provider),
            *((f"{CONFIG}/{GRAFANA}/dashboards/{path.name}", path.read_text(encoding="utf-8")) for path in boards),
        )

    @cached_property
    def doors(self) -> tuple[Door, ...]:
        """What a human opens in a browser, through SSH."""
        prometheus = Door(PROMETHEUS, self.platform.prometheus_port)
        grafana = Door(GRAFANA, self.platform.grafana_port, GRAFANA_USER, GRAFANA_PASSWORD)
        deployed = {service.name for service in self.services}
        return tuple(door for door in (prometheus, grafana) if door.service in deployed)

    @property
    def _engines(self) -> dict[str, str]:
        """Address and port of the engines that tell figures and start with `up`, by model."""
        told = [served for served in self.config.served if served.engine.name == "vllm" and not served.on_demand]
        return {served.name or MODEL: urlsplit(served.url).netloc for served in told}

    def _prometheus(self) -> Service:
        port = self.platform.prometheus_port
        return Service(
            name=PROMETHEUS,
            node=self.head.name,
            image=self.platform.prometheus_image,
            command=(
                "--config.file=/etc/prometheus/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                *KEPT,
                f"--web.listen-address={LOOPBACK}:{port}",
            ),
            env=_told(self.prometheus_files),
            mounts=(
                self.mount(f"{CONFIG}/{PROMETHEUS}", "/etc/prometheus", read_only=True),
                self.mount(PROMETHEUS, "/prometheus"),
            ),
            secrets=self.given(METRICS_KEY, NODE_KEY, API_KEY),
            ports=((LOOPBACK, port),),
            confined=Confinement(pids=256, memory_bytes=PROMETHEUS_MEMORY),
        )

    def _grafana(self) -> Service:
        port, home = self.platform.grafana_port, "/var/lib/grafana"
        settings = {
            "PATHS_DATA": home,
            "PATHS_PLUGINS": f"{home}/plugins",
            "PATHS_LOGS": "/tmp",
            "PATHS_PROVISIONING": "/etc/grafana/provisioning",
            "LOG_MODE": "console",
            "SERVER_HTTP_ADDR": LOOPBACK,
            "SERVER_HTTP_PORT": str(port),
            "SECURITY_ADMIN_USER": GRAFANA_USER,
            "SECURITY_ADMIN_PASSWORD__FILE": f"/run/secrets/{GRAFANA_PASSWORD}",
            "USERS_ALLOW_SIGN_UP": "false",
            "NEWS_NEWS_FEED_ENABLED": "false",
            "PLUGINS_PREINSTALL_DISABLED": "true",
            **dict.fromkeys(_QUIET, "false"),
        }
        return Service(
            name=GRAFANA,
            node=self.head.name,
            image=self.platform.grafana_image,
            command=(),
            env=(*((f"GF_{name}", value) for name, value in settings.items()), *_told(self.grafana_files)),
            mounts=(
                self.mount(f"{CONFIG}/{GRAFANA}/provisioning", "/etc/grafana/provisioning", read_only=True),
                self.mount(f"{CONFIG}/{GRAFANA}/dashboards", "/etc/grafana/dashboards", read_only=True),
                self.mount(GRAFANA, home),
            ),
            secrets=self.given(GRAFANA_PASSWORD),
            ports=((LOOPBACK, port),),
            confined=Confinement(pids=256, memory_bytes=GRAFANA_MEMORY),
        )


def _told(files: Files) -> tuple[tuple[str, str], ...]:
    """What makes a container another one when its files are."""
    return (("HOME", "/tmp"), ("SPARKCTL_DOCUMENT", spec_hash(files)))
