"""Host keys: which server keys are trusted, and what is said about those that are not.

Every decision is made here; paramiko's own stores stay empty, so that it always asks.
"""

import base64
import binascii
import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import paramiko

from sparkctl.errors import HostKeyError

Ask = Callable[[str, str], bool]

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Record:
    """A key on file. `place` is `file:line`, `blob` the public key as it goes over the wire."""

    place: str
    type: str
    blob: bytes
    revoked: bool = False


def fingerprint(blob: bytes) -> str:
    """`SHA256:…` of a public key as OpenSSH prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """Keys from files; an unknown one is accepted by flag or by a person, a changed one never.

    `files` are read in order; what is learnt is appended to the first.
    """

    def __init__(self, files: Sequence[Path], *, accept_new: bool = False, ask: Ask | None = None) -> None:
        self.files = tuple(files)
        self.accept_new = accept_new
        self.ask = ask

    def records(self, host: str) -> list[Record]:
        """What the files hold for a host: `name`, or `[name]:port` for a port other than 22."""
        lines = ((f"{path}:{number}", line) for path in self.files for number, line in enumerate(_lines(path), 1))
        return [record for place, line in lines if (record := _record(place, line, host))]

    def preferred_types(self, host: str, offered: Sequence[str]) -> list[str]:
        """Key types in the order to ask a server for: those that are on record first."""
        names = {record.type for record in self.records(host) if not record.revoked}
        wanted = names | ({"rsa-sha2-512", "rsa-sha2-256"} if "ssh-rsa" in names else set())
        return sorted(offered, key=lambda name: name not in wanted)

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Accept or refuse the key of a server; called by paramiko for every key. Raises HostKeyError."""
        blob, records = key.asbytes(), self.records(hostname)
        same = [record for record in records if record.blob == blob]
        revoked = [record for record in same if record.revoked]
        if revoked:
            raise HostKeyError(
                f"the host key of {hostname}, {fingerprint(blob)}, is marked as revoked at {revoked[0].place}",
                where=hostname,
                fix="do not use this machine before you know why its key was revoked",
            )
        if same:
            return
        if others := [record for record in records if not record.revoked]:
            raise _changed(hostname, key, others)
        self._learn(hostname, key)

    def _learn(self, hostname: str, key: paramiko.PKey) -> None:
        if not self.accept_new and not self._confirmed(hostname, key):
            raise HostKeyError(
                f"the host key of {hostname} is unknown: {key.get_name()} {fingerprint(key.asbytes())}",
                where=hostname,
                fix="compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the node's own "
                "console, then run again with --accept-new-host-keys",
            )
        with _one_at_a_time:
            _append(self.files[0], f"{hostname} {key.get_name()} {key.get_base64()}\n")

    def _confirmed(self, hostname: str, key: paramiko.PKey) -> bool:
        if self.ask is None:
            return False
        with _one_at_a_time:
            return self.ask(hostname, fingerprint(key.asbytes()))


def _changed(hostname: str, key: paramiko.PKey, records: Sequence[Record]) -> HostKeyError:
    old = next((record for record in records if record.type == key.get_name()), records[0])
    path = old.place.rpartition(":")[0]
    return HostKeyError(
        f"the host key of {hostname} has changed: {old.place} holds {old.type} {fingerprint(old.blob)}, "
        f"the server shows {key.get_name()} {fingerprint(key.asbytes())}",
        where=hostname,
        fix="if the node was installed anew, forget the old key and try again: "
        f"ssh-keygen -f {path} -R '{hostname}'; if it was not, somebody may be listening in",
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HostKeyError(f"cannot read {path}: {error.strerror}", fix=f"make it a readable file: {path}") from error


def _append(path: Path, line: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.seek(0)
            text = file.read()
            file.write((b"\n" if text and not text.endswith(b"\n") else b"") + line.encode())
    except OSError as error:
        raise HostKeyError(
            f"cannot write the new host key to {path}: {error.strerror}", fix=f"make {path} writable"
        ) from error


def _record(place: str, line: str, host: str) -> Record | None:
    fields = line.split()
    marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
    if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", "@revoked") or not _names(fields[0], host):
        return None
    try:
        return Record(place, fields[1], base64.b64decode(fields[2], validate=True), marker == "@revoked")
    except binascii.Error:
        return None


def _names(patterns: str, host: str) -> bool:
    """Whether the first field of a line of known_hosts means this host: hashed, plain, or with `*`, `?` and `!`."""
    if patterns.startswith("|1|"):
        try:
            return paramiko.HostKeys.hash_host(host, patterns) == patterns
        except (binascii.Error, AssertionError, IndexError):
            return False
    names = [name.replace("[", "[[]") for name in patterns.lower().split(",")]
    host = host.lower()
    if any(name.startswith("!") and fnmatchcase(host, name[1:]) for name in names):
        return False
    return any(fnmatchcase(host, name) for name in names)
