"""The containers of the agent platform, as plain data, and the document that it is told."""

from dataclasses import dataclass, replace
from functools import cached_property
from shlex import quote
from typing import TYPE_CHECKING

from sparkctl.agent_spec import AgentsDocument, ModelEndpoint, Where
from sparkctl.config.agents import FIGURES_PORT, MILVUS_HEALTH_PORT
from sparkctl.config.team import seers
from sparkctl.core.service import NODES_USER, Confinement, Gpus, Secret, Service, spec_hash
from sparkctl.engines.engine import API_KEY
from sparkctl.runtimes.containers import container_name
from sparkctl.stacks.agent_ground import METRICS_KEY, MODEL, NODE_KEY, Ground
from sparkctl.stacks.milvus import MILVUS, MILVUS_PASSWORD, Vectors
from sparkctl.stacks.observability import GRAFANA, GRAFANA_PASSWORD, PROMETHEUS, Observability
from sparkctl.steps.agents import NOBODY
from sparkctl.steps.image_build import dockerfile
from sparkctl.steps.secret import secret_path
from sparkctl.topology import Node
from sparkctl.wheel import own_wheel

if TYPE_CHECKING:
    from sparkctl.config.served import Served

AGENTS_KEY, JWT_SECRET, DATABASE_PASSWORD = "agents-key", "jwt-secret", "database-password"
DATABASE, SANDBOX, GATEWAY, FIGURES, UI = "postgres", "sandbox", "gateway", "node-stats", "ui"
DATA, SOCKETS, SANDBOX_SOCKET = "/var/lib/sparkctl-agents", "/run/postgres", "/run/sandbox/sandbox.sock"
DATABASE_MEMORY = 1 << 30
UPLOADS = "/var/lib/sparkctl-ui"
"""Where the UI keeps uploads that it passes on, as the gateway does in `DATA`: memory is too small for large ones."""
OWN_SOCKETS = "/var/run/postgresql"
"""Where the programs of PostgreSQL's image look for its socket: its entrypoint makes the database through that one."""
_KNOCK = f"import socket as s; s.socket(s.AF_UNIX).connect('{SANDBOX_SOCKET}')"
PROGRAM = ("sparkctl", "agents")
PASSWORDS = {DATABASE: DATABASE_PASSWORD, MILVUS: MILVUS_PASSWORD, GRAFANA: GRAFANA_PASSWORD}
"""By service: the secret that lasts as long as what it keeps, which was made with it."""
_DATABASE_USER = "agents"
_LOG_IN = (
    f"PGPASSWORD=$(cat /run/secrets/{DATABASE_PASSWORD}) "
    f"exec psql -qwX -h {SOCKETS} -U {_DATABASE_USER} -d {_DATABASE_USER} -c ''"
)
"""The server that makes the database at the first start takes connections at the same socket, before there is one."""


@dataclass(frozen=True)
class Containers(Ground):
    """Every container of the platform."""

    @property
    def key(self) -> str:
        """The secret that clients of the gateway send."""
        return AGENTS_KEY

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the agents that answer by themselves."""
        return tuple(name for name, one in self.platform.team.items() if one.kind != "supervisor")

    @property
    def url(self) -> str:
        """Where clients reach the gateway."""
        return f"http://{self.config.cluster.api_ip}:{self.config.profile.ports.api}"

    @property
    def ui_url(self) -> str:
        """Where a browser reaches the web UI; empty where there is none."""
        return f"http://{self.config.cluster.api_ip}:{self.platform.ui_port}" if self.has("ui") else ""

    @cached_property
    def image(self) -> str:
        """The image of the platform's own programs."""
        if self.platform.image:
            return self.platform.image
        made = own_wheel()
        return f"sparkctl/agents:{made.key}-{spec_hash(dockerfile(self.platform.base, made))}"

    @cached_property
    def document(self) -> str:
        """What the platform is told, as JSON."""
        eyes = {served.name for _, served in seers(self.platform, self.config.served)}
        models = {s.name or MODEL: model_endpoint(s, vision=s.name in eyes) for s in self.config.served}
        where = Where(
            listen=self.config.cluster.api_ip,
            port=self.config.profile.ports.api,
            data=DATA,
            database=self.database_url,
            milvus=self.vectors.url,
            sandbox=SANDBOX_SOCKET if self.platform.sandbox.enabled else "",
            gateway=self.url,
            ui_listen=self.config.cluster.api_ip,
            ui_port=self.platform.ui_port,
            nodes={name: f"http://{address}" for name, address in self.nodes.items()},
        )
        document = AgentsDocument(agents=self.platform.rendered(), models=models, where=where)
        return document.model_dump_json(indent=1) + "\n"

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """The containers in start order."""
        made = [self._database()] if self.has("postgres") else []
        made += self.vectors.services
        made += [self._sandbox()] if self.platform.sandbox.enabled else []
        made.append(self._gateway())
        if self.config.profile.watched:
            made += map(self._figures, self.config.cluster.nodes)
        made += [self._ui()] if self.has("ui") else []
        return (*made, *self.observability.services)

    @cached_property
    def brought(self) -> dict[str, str]:
        """The services whose image comes from a registry as it is, each with it."""
        others = (DATABASE, MILVUS, PROMETHEUS, GRAFANA)
        return {one.name: one.image for one in self.services if one.name in others}

    @cached_property
    def observability(self) -> Observability:
        """What watches it."""
        return Observability(self.config, self.platform)

    @cached_property
    def vectors(self) -> Vectors:
        """Where its documents' chunks are, unless in files of its own."""
        return Vectors(self.config, self.platform)

    @property
    def database_url(self) -> str:
        """Where the gateway keeps its records; empty without PostgreSQL."""
        if not self.has("postgres"):
            return ""
        return f"postgresql+asyncpg://{_DATABASE_USER}@/{_DATABASE_USER}?host={SOCKETS}"

    def _database(self) -> Service:
        """PostgreSQL, which listens on a socket in a folder of ours and has no network at all.

        Of itself its image lets whoever reaches the socket in without the password.
        """
        names = (
            ("POSTGRES_USER", _DATABASE_USER),
            ("POSTGRES_DB", _DATABASE_USER),
            ("POSTGRES_PASSWORD_FILE", f"/run/secrets/{DATABASE_PASSWORD}"),
            ("POSTGRES_INITDB_ARGS", "--auth=scram-sha-256"),
        )
        confined = Confinement(pids=256, memory_bytes=DATABASE_MEMORY)
        own = (OWN_SOCKETS, "rw,nosuid,nodev,size=1m,mode=1777")
        return Service(
            name=DATABASE,
            node=self.config.cluster.head.name,
            image=self.platform.database_image,
            command=("postgres", "-c", "listen_addresses=", "-c", f"unix_socket_directories={SOCKETS},{OWN_SOCKETS}"),
            env=(*names, ("PGDATA", "/var/lib/postgresql/data")),
            mounts=(self.mount("postgres", "/var/lib/postgresql/data"), self.mount("run/postgres", SOCKETS)),
            secrets=self.given(DATABASE_PASSWORD),
            network="none",
            shm_bytes=128 << 20,
            confined=replace(confined, tmpfs=(*confined.tmpfs, own)),
        )

    def _gateway(self) -> Service:
        cluster, port = self.config.cluster, self.config.profile.ports.api
        names = [AGENTS_KEY, JWT_SECRET, METRICS_KEY, API_KEY]
        names += [DATABASE_PASSWORD] * self.has("postgres") + [MILVUS_PASSWORD] * self.has("milvus")
        return Service(
            name=GATEWAY,
            node=cluster.head.name,
            image=self.image,
            entrypoint=PROGRAM,
            command=("serve",),
            env=(*self._told, ("TMPDIR", DATA)),
            mounts=(
                self.mount("config", "/etc/sparkctl", read_only=True),
                self.mount("data", DATA),
                *[self.mount("run/postgres", SOCKETS)] * bool(self.database_url),
                *[self.mount("run/sandbox", "/run/sandbox")] * self.platform.sandbox.enabled,
            ),
            secrets=self.given(*names),
            ports=((cluster.api_ip, port),),
            confined=Confinement(pids=512, memory_bytes=self.platform.memory_mib << 20),
        )

    def _sandbox(self) -> Service:
        """Where code of models runs: no network, no file but its workspaces, and a user who owns nothing else."""
        limits = self.platform.sandbox
        options = {
            "--socket": SANDBOX_SOCKET,
            "--workspaces": "/workspaces",
            "--seconds": f"{limits.seconds:g}",
            "--memory-mib": str(limits.memory_mib),
            "--processes": str(limits.processes),
            "--disk-mib": str(limits.disk_mib),
            "--user-mib": str(self.platform.limits.stored_mib),
            "--output-kib": str(limits.output_kib),
        }
        confined = Confinement(
            user=f"{NOBODY}:{NODES_USER}",  # the group may open its socket
            pids=limits.processes,
            memory_bytes=limits.memory_mib << 20,
            tmpfs=(("/tmp", "rw,nosuid,nodev,size=16m"),),
            first=True,
        )
        return Service(
            name=SANDBOX,
            node=self.config.cluster.head.name,
            image=self.image,
            entrypoint=PROGRAM,
            command=("sandbox", *(word for option in options.items() for word in option)),
            env=(("PYTHONDONTWRITEBYTECODE", "1"),),
            mounts=(self.mount("run/sandbox", "/run/sandbox"), self.mount("workspaces", "/workspaces")),
            network="none",
            stop_seconds=1,  # its jobs end with it, and there is nothing to save
            confined=confined,
        )

    def _ui(self) -> Service:
        cluster = self.config.cluster
        return Service(
            name=UI,
            node=cluster.head.name,
            image=self.image,
            entrypoint=PROGRAM,
            command=("ui",),
            env=(*self._told, ("TMPDIR", UPLOADS)),
            mounts=(self.mount("config", "/etc/sparkctl", read_only=True), self.mount("ui", UPLOADS)),
            secrets=self.given(NODE_KEY),
            ports=((cluster.api_ip, self.platform.ui_port),),
            stop_seconds=10,
            confined=Confinement(pids=128, memory_bytes=512 << 20),
        )

    def _figures(self, node: Node) -> Service:
        """A node's own figures, for who has the key; it sees network, `/proc` and GPU of the node, and no file."""
        cluster, address = self.config.cluster, self.nodes[node.name].rpartition(":")[0]
        options = {
            "--key-file": f"/run/secrets/{NODE_KEY}",
            "--name": node.name,
            "--listen": address,
            "--port": str(FIGURES_PORT),
            **({"--fabric": node.fabric_interface} if cluster.workers else {}),
        }
        return Service(
            name=FIGURES,
            node=node.name,
            image=self.image,
            entrypoint=PROGRAM,
            command=("node", *(word for option in options.items() for word in option)),
            env=(("HOME", "/tmp"), ("NVIDIA_DRIVER_CAPABILITIES", "utility")),
            secrets=(Secret(NODE_KEY, secret_path(cluster, node, NODE_KEY)),),
            gpus=Gpus.ALL,
            ports=((address, FIGURES_PORT),),
            stop_seconds=10,
            confined=Confinement(pids=64, memory_bytes=256 << 20),
        )

    @property
    def _told(self) -> tuple[tuple[str, str], ...]:
        """What makes a container another one when the document is."""
        return (("HOME", "/tmp"), ("SPARKCTL_DOCUMENT", spec_hash(self.document)))

    def look(self, service: Service) -> str:
        """Whether it is well, asked on its node."""
        name = quote(container_name(self.config.cluster, service.name))
        if service.name == DATABASE:
            return f"timeout 5 docker exec {name} sh -c {quote(_LOG_IN)}"
        if service.name == SANDBOX:  # it takes its socket when it starts, and answers once it has tested itself
            return f"timeout 5 docker exec {name} python3 -c {quote(_KNOCK)}"
        if service.name == MILVUS:
            return (
                f"timeout 5 docker exec {name} curl -qsfm 5 -o /dev/null http://127.0.0.1:{MILVUS_HEALTH_PORT}/healthz"
            )
        address, port = service.ports[0]
        if service.name == FIGURES:  # it answers nobody without the key
            return f"timeout 5 bash -c {quote(f': </dev/tcp/{address}/{port}')}"
        path = {GATEWAY: "/health", UI: "/login", PROMETHEUS: "/-/ready", GRAFANA: "/api/health"}[service.name]
        return f"curl -qsfm 5 --noproxy '*' -o /dev/null {quote(f'http://{address}:{port}{path}')}"


def model_endpoint(served: "Served", *, vision: bool) -> ModelEndpoint:
    """A model as the gateway reaches it."""
    return ModelEndpoint(
        url=served.url,
        id=served.served_name,
        key_file=f"/run/secrets/{API_KEY}",
        vision=vision,
        context=served.engine.max_model_len,
    )
