"""Keys of the user at a real sshd: which are found and offered, and every way to fail."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sshd import Sshd, make_key, works

from sparkctl.errors import LoginError
from sparkctl.transport.ssh import SshSession


def test_a_wrong_key_is_named(sshd: Sshd, tmp_path: Path) -> None:
    wrong = make_key(tmp_path / "wrong")
    with pytest.raises(LoginError) as caught:
        sshd.open(identity_file=str(wrong))
    assert str(wrong) in caught.value.what and sshd.user in caught.value.what
    assert "ssh-copy-id" in caught.value.fix
    assert caught.value.exit_code == 4


def test_a_key_that_is_not_there_is_named(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(LoginError, match=r"missing.*No such file"):
        sshd.open(identity_file=str(tmp_path / "missing"))


def test_a_file_that_is_no_key_is_named(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(LoginError, match=r"text \(not offered"):
        sshd.open(identity_file=str(tmp_path / "text"))


def test_a_wrong_user_is_named(sshd: Sshd) -> None:
    with pytest.raises(LoginError, match="refuses user nobody-here"):
        sshd.open(user="nobody-here")


def test_without_any_key_it_says_so(sshd: Sshd, laptop: Path) -> None:
    with pytest.raises(LoginError, match="keys: none"):
        sshd.open(identity_file="")


def test_the_identity_file_is_the_only_key_offered(sshd: Sshd, laptop: Path, agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", sshd.user_key], check=True)
    wrong = make_key(laptop / "wrong")
    with pytest.raises(LoginError) as caught:
        sshd.open(identity_file=str(wrong))
    assert "agent" not in caught.value.what


def test_a_default_key_is_found(sshd: Sshd, laptop: Path) -> None:
    shutil.copy(sshd.user_key, laptop / ".ssh/id_ed25519")
    assert works(sshd.open(identity_file=""))


def test_a_key_of_the_agent_works(sshd: Sshd, agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", sshd.user_key], check=True)
    assert works(sshd.open(identity_file=""))


def locked_key(server: Sshd, folder: Path) -> Path:
    key = make_key(folder / "locked", passphrase="open sesame")
    with (server.folder / "authorized").open("a") as file:
        file.write(key.with_suffix(".pub").read_text())
    return key


def test_a_key_with_a_passphrase_works_through_the_agent(own_sshd: Sshd, agent: Path) -> None:
    key = locked_key(own_sshd, agent.parent)
    with pytest.raises(LoginError, match="passphrase; ssh-add"):
        own_sshd.open(identity_file=str(key))
    helper = agent.parent / "askpass"
    helper.write_text("#!/bin/sh\necho open sesame\n")
    helper.chmod(0o700)
    subprocess.run(
        ["ssh-add", "-q", key],
        check=True,
        env=os.environ | {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"},
        stdin=subprocess.DEVNULL,
    )
    assert works(own_sshd.open(identity_file=str(key)))


def test_a_person_may_unlock_a_key(own_sshd: Sshd, laptop: Path) -> None:
    key = locked_key(own_sshd, laptop)
    node = own_sshd.node(identity_file=str(key))
    assert works(SshSession(node, known_hosts=own_sshd.known_hosts, unlock=lambda path: "open sesame"))
    with pytest.raises(LoginError, match="does not open it"):
        SshSession(node, known_hosts=own_sshd.known_hosts, unlock=lambda path: "wrong")
