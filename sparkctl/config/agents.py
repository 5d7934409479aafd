"""The `agents` key of a profile: the platform as `agent_spec` has it, and what its containers are made of."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, Strict

from sparkctl.agent_spec import Agents
from sparkctl.config.values import IMAGE_REF

Reference = Annotated[str, Field(pattern=IMAGE_REF, max_length=512)]
Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
FIGURES_PORT = 9101
"""Where each node's own figures are; beside Prometheus' node exporter, whose usual port is 9100."""
MILVUS_ETCD_PORT, MILVUS_HEALTH_PORT = 2379, 9091
MILVUS_OWN = {MILVUS_ETCD_PORT: "Milvus' etcd", MILVUS_HEALTH_PORT: "Milvus' health"}
"""Ports that Milvus takes in its container, beside the one that clients use."""


class Platform(Agents):
    """The agent platform: its agents, who takes requests first, the limits, and its containers."""

    image: Reference | None = Field(
        default=None, description="Image of the platform; null: built on the head from this very sparkctl."
    )
    base: Reference = Field(
        default="python:3.12-slim", description="What that image is built on: a Debian with Python 3.11 or newer."
    )
    database_image: Reference = Field(default="postgres:17-bookworm", description="Image of PostgreSQL.")
    prometheus_image: Reference = Field(default="prom/prometheus:v3.5.0", description="Image of Prometheus.")
    grafana_image: Reference = Field(default="grafana/grafana:12.2.0", description="Image of Grafana.")
    milvus_image: Reference = Field(default="milvusdb/milvus:v2.6.11", description="Image of Milvus.")
    ui_port: Port = Field(default=5000, description="The web UI.")
    prometheus_port: Port = Field(default=9090, description="Prometheus, on the head's loopback.")
    grafana_port: Port = Field(default=3001, description="Grafana, on the head's loopback.")
    milvus_port: Port = Field(default=19530, description="Milvus, on the head's loopback.")
    memory_mib: Annotated[int, Strict(), Field(ge=128, le=1_000_000)] = Field(
        default=2048, description="Memory of the gateway's container, in MiB."
    )

    def ports(self, components: Iterable[str]) -> dict[str, int]:
        """The port on the head of each of its components that has one, by key."""
        fields = (f"{name}_port" for name in components)
        return {field: getattr(self, field) for field in fields if field in Platform.model_fields}

    def rendered(self) -> Agents:
        """What the platform itself is told."""
        return Agents.model_validate(self.model_dump(include=set(Agents.model_fields)))
