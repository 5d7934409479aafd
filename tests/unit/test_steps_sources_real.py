"""A package source with its key in one file: the real apt trusts what that key has signed, and nothing else."""

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from apt_root import AptRoot

from sparkctl.steps.sources import Source, refresh

pytestmark = pytest.mark.skipif(not (shutil.which("apt-get") and shutil.which("gpg")), reason="needs apt and gpg")


class Signer:
    """A key of its own, and no agent left behind."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._env = {**os.environ, "GNUPGHOME": str(folder)}
        self._gpg("--passphrase", "", "--quick-generate-key", "source@a.example", "ed25519", "sign", "never")

    def key(self) -> str:
        return self._gpg("--armor", "--export")

    def sign(self, file: Path) -> None:
        self._gpg("--yes", "--clearsign", "-o", str(file.with_name("InRelease")), str(file))

    def close(self) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self._env, check=True)

    def _gpg(self, *argv: str) -> str:
        command = ["gpg", "--batch", "--pinentry-mode", "loopback", *argv]
        return subprocess.run(command, env=self._env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def signers(tmp_path: Path) -> Iterator[list[Signer]]:
    found = [Signer(tmp_path / name) for name in ("a", "b")]
    yield found
    for signer in found:
        signer.close()


def test_apt_trusts_the_key_of_the_file_alone(tmp_path: Path, signers: list[Signer]) -> None:
    root = AptRoot(tmp_path / "root")
    root.publish("nvidia-container-toolkit")
    (root.folder / "etc/apt/sources.list").write_text("")
    (root.folder / "etc/apt/sources.list.d").mkdir()
    release = root.folder / "repo" / "Release"
    packages = (release.parent / "Packages").read_bytes()
    digest = f"{hashlib.sha256(packages).hexdigest()} {len(packages)} Packages"
    release.write_text(f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest}\n")
    right, wrong = signers
    right.sign(release)
    for signer, accepted in ((right, True), (wrong, False)):
        source = Source("vendor", (f"file:{root.folder}/repo",), ("./",), (), signer.key())
        path = root.folder / source.path.removeprefix("/")
        path.write_text(source.text)
        command = shlex.split(refresh(str(path)))
        done = subprocess.run(command, env=root.env, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is accepted, done.stdout + done.stderr
        if accepted:
            shown = subprocess.run(
                ["apt-cache", "policy", "nvidia-container-toolkit"], env=root.env, capture_output=True, text=True
            ).stdout
            assert "Candidate: 1.0" in shown
