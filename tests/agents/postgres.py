"""A real PostgreSQL for the tests: a cluster of its own in a temporary folder, on a free port of loopback."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

USER, PASSWORD = "platform", "a-password-of-the-tests"


@dataclass(frozen=True)
class Postgres:
    """A running server. `url(new database)` is what `where.database` takes, without the password."""

    folder: Path
    bin: Path
    port: int

    def database(self) -> str:
        """Make an empty database; its SQLAlchemy URL, without a password, which is PASSWORD."""
        name = f"d{uuid4().hex}"
        client = self.bin / "createdb"
        argv = (client, "--host", "127.0.0.1", "--port", str(self.port), "--username", USER, name)
        subprocess.run(argv, check=True, env={**os.environ, "PGPASSWORD": PASSWORD})
        return f"postgresql+asyncpg://{USER}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        _as_user(self.bin / "pg_ctl", "start", "-w", "-D", self._data, "-l", self.folder / "log", "-o", settings)

    def stop(self) -> None:
        """Stop the server at once; connections break."""
        _as_user(self.bin / "pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    @property
    def _data(self) -> Path:
        return self.folder / "cluster"


@contextmanager
def serving_postgres() -> Iterator[Postgres]:
    """A server for the length of the block. Skips the test where PostgreSQL is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="sparkctl-postgres-"))
    try:
        server = Postgres(folder, _bin(), _free_port())
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        options = ("--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync", "--encoding=UTF8")
        _as_user(server.bin / "initdb", "-D", folder / "cluster", f"--username={USER}", *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _bin() -> Path:
    """Where the newest PostgreSQL has its programs: Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places:
        pytest.skip("PostgreSQL is not installed")
    return places[-1]


def _as_user(*argv: str | Path) -> None:
    """Run it as whom PostgreSQL works for: it refuses root."""
    who = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
    done = subprocess.run((*who, *argv), capture_output=True, text=True, cwd="/")
    if done.returncode:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
