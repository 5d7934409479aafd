"""How the containers of an MPI job find each other: an sshd of their own in each worker's, and no key of any user.

One key of the cluster, made on the head, is the host key of every sshd, what it admits, and what the head shows. It
opens nothing but these containers, and only on the fabric. NVIDIA's playbook mounts ~/.ssh and takes any host key.
"""

from sparkctl.engines.container import FOLDER
from sparkctl.topology import Cluster, Node

KEY = "mpi-ssh-key"
"""The secret, an ed25519 key in OpenSSH's format."""

WAIT_SECONDS = 300
"""How long the head waits for the sshd of its workers: an image without one has it installed first."""

_KEY = f"""\
set -euo pipefail
mkdir -p {FOLDER} /root/.ssh /run/sshd
install -m 600 /run/secrets/{KEY} {FOLDER}/key
public=$(ssh-keygen -y -f {FOLDER}/key)
"""
_SSHD = f"""\
if [ ! -x /usr/sbin/sshd ]; then
  echo "sparkctl: the image lacks sshd, which two nodes need: it is installed now" >&2
  printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
  (apt-get update -q && apt-get install -qy --no-install-recommends openssh-server) >&2 ||
    {{ echo "sparkctl: the image lacks sshd, and it could not be installed" >&2; exit 127; }}
fi
{_KEY}\
echo "$public" >{FOLDER}/authorized_keys
export -p >{FOLDER}/environment
printf '#!/bin/bash\\n. {FOLDER}/environment\\neval "$SSH_ORIGINAL_COMMAND"\\n' >{FOLDER}/session
chmod 700 {FOLDER}/session
"""
"""A session has the environment of the container, which sshd would not hand down."""


def worker(node: Node, port: int) -> tuple[str, ...]:
    """The entrypoint of a worker's container: its sshd, on the fabric alone."""
    options = {
        "ListenAddress": f"{node.data_ip}:{port}",
        "HostKey": f"{FOLDER}/key",
        "AuthorizedKeysFile": f"{FOLDER}/authorized_keys",
        "ForceCommand": f"{FOLDER}/session",
        "AuthenticationMethods": "publickey",
        "AllowUsers": "root",
        "PermitRootLogin": "prohibit-password",
        "AllowTcpForwarding": "no",
        "X11Forwarding": "no",
        "UsePAM": "no",
        "PidFile": "none",
    }
    words = " ".join(f"-o '{name} {value}'" for name, value in options.items())
    return ("/bin/bash", "-c", f"{_SSHD}exec /usr/sbin/sshd -D -e -f /dev/null {words}\n")


def head(cluster: Cluster, port: int) -> str:
    """What the head does first: it knows its workers by the one key, and waits until each answers."""
    hosts = "\n".join(node.data_ip for node in cluster.nodes)
    return f"""\
{_KEY}\
cat >/root/.ssh/config <<'END'
Port {port}
User root
IdentityFile {FOLDER}/key
IdentitiesOnly yes
UserKnownHostsFile {FOLDER}/known_hosts
StrictHostKeyChecking yes
BatchMode yes
ConnectTimeout 5
END
cat >{FOLDER}/hostfile <<'END'
{hosts}
END
for host in {" ".join(node.data_ip for node in cluster.workers)}; do
  echo "[$host]:{port} $public" >>{FOLDER}/known_hosts
  until ssh "$host" true 2>{FOLDER}/ssh.err; do
    if [ "$SECONDS" -ge {WAIT_SECONDS} ]; then
      echo "sparkctl: the MPI rank at $host does not answer: $(tail -n 1 {FOLDER}/ssh.err)" >&2; exit 1
    fi
    sleep 1
  done
done
"""


def launch(cluster: Cluster) -> tuple[str, ...]:
    """One rank on each node, by names that Open MPI 4 and 5 share."""
    count = str(len(cluster.nodes))
    where = ("--hostfile", f"{FOLDER}/hostfile", "-np", count, "--map-by", "ppr:1:node", "--bind-to", "none")
    return ("mpirun", "--allow-run-as-root", *where)
