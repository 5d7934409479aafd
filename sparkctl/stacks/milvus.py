"""Milvus as one container: its etcd and its files inside, one port on the head's loopback, a generated password.

Sources: Milvus' documentation of `standalone_embed.sh` (embedded etcd, local storage) and of
`common.security.defaultRootPassword`, which it reads when it has no user yet: there is no time with its own default.
"""

from dataclasses import dataclass
from functools import cached_property

from sparkctl.config.agents import MILVUS_ETCD_PORT
from sparkctl.core.service import Confinement, Service, spec_hash
from sparkctl.runtimes.containers import container_name
from sparkctl.stacks.agent_ground import CONFIG, Ground
from sparkctl.topology import LOOPBACK

MILVUS = "milvus"
MILVUS_PASSWORD = "milvus-password"  # noqa: S105 - the name of a file
MEMORY = 4 << 30
START_SECONDS = 180
ETCD = f"""\
listen-client-urls: http://127.0.0.1:{MILVUS_ETCD_PORT}
advertise-client-urls: http://127.0.0.1:{MILVUS_ETCD_PORT}
quota-backend-bytes: 4294967296
auto-compaction-mode: revision
auto-compaction-retention: '1000'
"""
_START = f"""\
COMMON_SECURITY_DEFAULTROOTPASSWORD=$(cat /run/secrets/{MILVUS_PASSWORD}) || exit
export COMMON_SECURITY_DEFAULTROOTPASSWORD
exec milvus run standalone"""
"""The password goes by the environment of the program alone: in the container's, `docker inspect` would show it."""


@dataclass(frozen=True)
class Vectors(Ground):
    """Milvus of one deployment."""

    @cached_property
    def files(self) -> tuple[tuple[str, str], ...]:
        """What its etcd is told, by path below the platform's folder."""
        return ((f"{CONFIG}/{MILVUS}/etcd.yaml", ETCD),)

    @property
    def url(self) -> str:
        """Where the gateway reaches it; empty where it is not deployed."""
        return f"http://{LOOPBACK}:{self.platform.milvus_port}" if self.has("milvus") else ""

    @property
    def services(self) -> tuple[Service, ...]:
        """The container, on a network of its own: some of its inner ports ask nobody for a password."""
        if not self.has("milvus"):
            return ()
        port, home = self.platform.milvus_port, "/var/lib/milvus"
        settings = {
            "DEPLOY_MODE": "STANDALONE",
            "ETCD_USE_EMBED": "true",
            "ETCD_DATA_DIR": f"{home}/etcd",
            "ETCD_CONFIG_PATH": "/etc/sparkctl/etcd.yaml",
            "COMMON_STORAGETYPE": "local",
            "COMMON_SECURITY_AUTHORIZATIONENABLED": "true",
            "PROXY_PORT": str(port),
        }
        made = Service(
            name=MILVUS,
            node=self.head.name,
            image=self.platform.milvus_image,
            entrypoint=("bash", "-c"),
            command=(_START,),
            env=(("HOME", "/tmp"), *settings.items(), ("SPARKCTL_DOCUMENT", spec_hash(self.files))),
            mounts=(self.mount(f"{CONFIG}/{MILVUS}", "/etc/sparkctl", read_only=True), self.mount(MILVUS, home)),
            secrets=self.given(MILVUS_PASSWORD),
            network=container_name(self.config.cluster, MILVUS),
            ports=((LOOPBACK, port),),
            stop_seconds=60,  # its etcd writes what it holds
            confined=Confinement(pids=2048, memory_bytes=MEMORY),
        )
        return (made,)
