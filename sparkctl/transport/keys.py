"""Which keys are offered to a server, in which order, and what became of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey

Unlock = Callable[[str], str]
"""Asks a person for the passphrase of the key in this file."""

_DEFAULT_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass
class Offer(AuthStrategy):
    """Keys in OpenSSH's order: the named files (by the agent where it holds them), other keys of the agent, defaults.

    With `only`, nothing but the named files is offered. `notes` collects a line for every key tried or passed over.
    """

    user: str
    files: tuple[Path, ...]
    only: bool = False
    unlock: Unlock | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(paramiko.SSHConfig())

    def get_sources(self) -> Iterator[AuthSource]:
        """What to try, in order; called by paramiko."""
        agent = paramiko.Agent()
        try:
            for note, key in self._keys({key.asbytes(): key for key in agent.get_keys()}):
                self.notes.append(note)
                yield InMemoryPrivateKey(self.user, key)
        finally:
            agent.close()

    def _keys(self, held: dict[bytes, paramiko.AgentKey]) -> Iterator[tuple[str, paramiko.PKey]]:
        for path in self.files:
            yield from self._from_file(path, held)
        if self.only:
            return
        for agent_key in list(held.values()):
            yield f"{agent_key.comment or agent_key.get_name()} (agent)", agent_key
        if not self.files:
            for name in _DEFAULT_NAMES:
                path = Path("~/.ssh", name).expanduser()
                if path.exists():
                    yield from self._from_file(path, {})

    def _from_file(self, path: Path, held: dict[bytes, paramiko.AgentKey]) -> Iterator[tuple[str, paramiko.PKey]]:
        agent_key = held.pop(_public_blob(path), None)
        if agent_key:
            yield f"{path} (agent)", agent_key
            return
        try:
            key = load_key(path, self.unlock)
        except (OSError, ValueError, paramiko.SSHException) as error:
            self.notes.append(f"{path} (not offered: {_reason(error)})")
            return
        yield str(path), key


def load_key(path: Path, unlock: Unlock | None = None) -> paramiko.PKey:
    """A private key from a file. Raises OSError, ValueError, paramiko.SSHException; locked without `unlock` too."""
    try:
        return paramiko.PKey.from_path(path)
    except TypeError as error:
        # What `cryptography` raises for a key with a passphrase.
        if unlock is None:
            raise paramiko.PasswordRequiredException("it has a passphrase; ssh-add it") from error
    passphrase = unlock(str(path))
    failure: paramiko.SSHException | None = None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(str(path), passphrase)
        except paramiko.SSHException as error:
            failure = failure or error
    raise paramiko.SSHException("the passphrase does not open it") from failure


def _public_blob(path: Path) -> bytes:
    try:
        return paramiko.pkey.PublicBlob.from_file(f"{path}.pub").key_blob
    except (OSError, ValueError):
        return b""


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
