"""The folder that remembers a lab: keys, known_hosts, the *where* file, and the facts of lab.json."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from sparkctl.config import lab_name
from sparkctl.errors import SparkctlError
from sparkctl.lab.spec import FABRIC_NIC, HUB_NAME, HUB_PORT, USER, Lab, home_of, labs_dir

_FACTS = "lab.json"


def read(name: str) -> Lab | None:
    """The lab of that name, if this machine remembers one.

    Raises ConfigError for what cannot be a name, SparkctlError for an unreadable record.
    """
    home = home_of(name)
    try:
        facts = json.loads((home / _FACTS).read_text())
        return Lab(facts["name"], facts["driver"], facts["octet"], facts["size"], home)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError) as error:
        fix = f"end its QEMU, if it has any, and delete {home}; the rest goes with: sparkctl lab down --name {name}"
        raise SparkctlError(
            f"the record of lab {name} is damaged: {error}", where=str(home / _FACTS), fix=fix
        ) from error


def names() -> list[str]:
    """The labs that this machine remembers."""
    found = (path.parent.name for path in labs_dir().glob(f"*/{_FACTS}"))
    return sorted(name for name in found if lab_name.is_name(name))


def octets() -> set[int]:
    """The subnets that remembered labs hold."""
    found = (read(name) for name in names())
    return {lab.octet for lab in found if lab is not None}


def write(lab: Lab) -> None:
    """Remember the lab: facts first, then whatever of keys, known_hosts and *where* file is missing or stale."""
    lab.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = {key: value for key, value in asdict(lab).items() if key != "home"}
    facts |= {
        "subnets": {"management": lab.management_subnet, "fabric": lab.fabric_subnet},
        "nodes": [asdict(node) for node in lab.nodes],
    }
    (lab.home / _FACTS).write_text(json.dumps(facts, indent=2) + "\n")
    lab.host_keys.mkdir(exist_ok=True, mode=0o700)
    for path in (lab.key_file, *(lab.host_keys / node.name for node in lab.nodes)):
        if not path.exists():
            _make_key(path)
    known = [f"{node.address},{node.name} {_public(lab.host_keys / node.name)}" for node in lab.nodes]
    lab.known_hosts.write_text("\n".join(known) + "\n")
    lab.env_file.write_text(where(lab))


def where(lab: Lab) -> str:
    """The text of lab.env: what unified-config.env says of two real Sparks."""
    head, *workers = lab.nodes
    values = {
        "CLUSTER_NAME": lab.name,
        "HEAD_NODE_NAME": head.name,
        "CONTROL_PLANE_API_IP": head.address,
        "HEAD_SSH_USER": USER,
        "FABRIC_CTRL_IP": head.fabric_ip,
        "FABRIC_CTRL_INTERFACE": FABRIC_NIC,
        "WORKER_NODE_NAMES": ",".join(node.name for node in workers),
        "WORKER_IPS": ",".join(node.fabric_ip for node in workers),
        "WORKER_SSH_TARGETS": ",".join(node.address for node in workers),
        "WORKER_NODE_SSH_USER": USER,
        "WORKER_NODE_INTERFACE": FABRIC_NIC,
        "SSH_KEY_FILE": str(lab.key_file),
        "SSH_KNOWN_HOSTS_FILE": str(lab.known_hosts),
        "HF_ENDPOINT": f"http://{HUB_NAME}:{HUB_PORT}",
    }
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    return f"# Written by: sparkctl lab up --name {lab.name}\n{lines}"


def remove(name: str) -> None:
    """Forget a lab; a folder that holds none is left alone. Raises ConfigError for what cannot be a name."""
    home = home_of(name)
    if (home / _FACTS).exists():
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def lock() -> Iterator[None]:
    """One `lab up` or `lab down` at a time on this machine, for this user; ends with the process that holds it."""
    labs_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
    with (labs_dir() / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def public_key(lab: Lab) -> str:
    """The line for authorized_keys."""
    return _public(lab.key_file)


def _public(private: Path) -> str:
    return private.with_name(private.name + ".pub").read_text().strip()


def _make_key(path: Path) -> None:
    """An ed25519 key pair as ssh-keygen writes it."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    path.with_name(path.name + ".pub").write_bytes(public + b"\n")
    path.touch(mode=0o600)
    path.write_bytes(private)
