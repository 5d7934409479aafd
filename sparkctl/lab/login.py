"""How this machine gets into a node: the OpenSSH client for people, one quick look by Paramiko for the lab itself."""

import logging
import shutil
from typing import TYPE_CHECKING

from sparkctl.errors import SparkctlError
from sparkctl.lab.spec import USER, Lab, LabNode

if TYPE_CHECKING:
    import paramiko

PATIENCE = 3.0
"""Seconds for each part of a look: connect, banner, authenticate, command."""

# A machine that boots answers late or not at all: that is for the caller to tell, not for stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def ssh_argv(lab: Lab, node: LabNode) -> list[str]:
    """OpenSSH's client, set to the lab's key and host keys and to nothing else of the user's. Raises SparkctlError."""
    client = shutil.which("ssh")
    if client is None:
        fix = "install openssh-client, or use: docker exec -it"
        raise SparkctlError("there is no ssh client on this machine", where="lab ssh", fix=fix)
    options = {
        "UserKnownHostsFile": lab.known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "IdentityFile": lab.key_file,
    }
    settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return [client, "-F", "none", *settings, f"{USER}@{node.address}"]


def try_docker(lab: Lab, node: LabNode, patience: float = PATIENCE) -> str:
    """Log in and ask the node's engine for its state; empty when all is well, else what is not."""
    import paramiko

    client = paramiko.SSHClient()
    try:
        client.load_host_keys(str(lab.known_hosts))
        client.connect(
            node.address,
            username=USER,
            key_filename=str(lab.key_file),
            look_for_keys=False,
            allow_agent=False,
            timeout=patience,
            banner_timeout=patience,
            auth_timeout=patience,
        )
        return _ask(client, patience)
    except (OSError, paramiko.SSHException) as error:
        return f"SSH: {error or type(error).__name__}"
    finally:
        client.close()


def _ask(client: "paramiko.SSHClient", patience: float) -> str:
    _, stdout, stderr = client.exec_command("docker info --format {{.ServerVersion}}", timeout=patience)
    with stdout, stderr:
        if stdout.channel.recv_exit_status() == 0:
            return ""
        return stderr.read().decode(errors="replace").strip() or "docker info fails"
