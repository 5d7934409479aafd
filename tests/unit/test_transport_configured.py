"""Logins to a real sshd as the user's SSH configuration says: aliases, identities, jump hosts, proxies."""

import subprocess
import sys
from pathlib import Path

import pytest
from sshd import Sshd, make_key, works

from sparkctl.errors import HostKeyError, LoginError
from sparkctl.transport.ssh import SshSession


def test_an_alias_brings_host_user_port_and_key(sshd: Sshd, laptop: Path) -> None:
    (laptop / ".ssh/config").write_text(
        f"Host desk\n HostName 127.0.0.1\n User {sshd.user}\n Port {sshd.port}\n IdentityFile {sshd.user_key}\n"
    )
    assert works(sshd.open(address="desk", user="", port=22, identity_file=""))


def test_identities_only_keeps_the_agent_quiet(sshd: Sshd, laptop: Path, agent: Path) -> None:
    wrong = make_key(laptop / "wrong")
    subprocess.run(["ssh-add", "-q", wrong], check=True)
    (laptop / ".ssh/config").write_text(f"Host *\n IdentitiesOnly yes\n IdentityFile {sshd.user_key}\n")
    assert works(sshd.open(identity_file=""))
    (laptop / ".ssh/config").write_text("Host *\n IdentitiesOnly yes\n IdentityFile ~/.ssh/nothing\n")
    with pytest.raises(LoginError) as caught:
        sshd.open(identity_file="")
    assert "agent" not in caught.value.what


def test_a_jump_host_is_gone_through(sshd: Sshd, own_sshd: Sshd, laptop: Path) -> None:
    jump = f"{own_sshd.user}@127.0.0.1:{own_sshd.port}"
    (laptop / ".ssh/config").write_text(
        f"Host far\n HostName localhost\n ProxyJump {jump}\nHost *\n IdentityFile {own_sshd.user_key}\n"
    )
    known = laptop / "known"
    known.write_text(own_sshd.known_hosts.read_text() + sshd.known_hosts.read_text().replace("127.0.0.1", "localhost"))
    session = SshSession(sshd.node(address="far"), known_hosts=known)
    source = session.run(["sh", "-c", "echo $SSH_CONNECTION"]).stdout.split()
    assert source[3] == str(sshd.port)
    (own_log,) = [line for line in (own_sshd.folder / "log").read_text().splitlines() if "Accepted" in line]
    assert own_sshd.user in own_log
    session.close()
    known.write_text(sshd.known_hosts.read_text().replace("127.0.0.1", "localhost"))
    with pytest.raises(HostKeyError, match=str(own_sshd.port)):
        SshSession(sshd.node(address="far"), known_hosts=known)


def test_a_proxy_command_is_used(sshd: Sshd, laptop: Path) -> None:
    relay = laptop / "relay.py"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): s.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := s.recv(65536): os.write(1, data)\n"
    )
    (laptop / ".ssh/config").write_text(
        f"Host far\n HostName 127.0.0.1\n ProxyCommand {sys.executable} {relay} %h %p\n"
    )
    assert works(sshd.open(address="far"))
