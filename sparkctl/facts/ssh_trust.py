"""The key with which a node reaches another, the other's side of it, and whether it works."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.facts.lines import values
from sparkctl.facts.probe import Answer, Probe

_KEY = re.compile(r"((?:ssh|ecdsa|sk)-[a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,3})(?: .*)?")


@dataclass(frozen=True)
class KeyFact:
    """A node's key pair: `public` is `type base64` as made from the private half, empty where there is no key."""

    present: bool
    public: str
    mode: str


@dataclass(frozen=True)
class AccessFact:
    """The other's side: the lines of authorized_keys that carry our mark, and the host keys of its own sshd."""

    lines: tuple[str, ...]
    host_keys: tuple[str, ...]


@dataclass(frozen=True)
class LoginFact:
    """A try to log in: `known` is our file of host keys, `refusal` ssh's own words."""

    known: tuple[str, ...]
    tried: bool
    works: bool
    refusal: str


def key_probe(path: str) -> Probe[KeyFact]:
    """Read a key pair of which `path` is the private half; the private half itself is never printed."""
    quoted = shlex.quote(path)
    script = f"""\
[ -e {quoted} ] || exit 3
echo "mode=$(stat -c %a {quoted})"
echo "public=$(ssh-keygen -y -P '' -f {quoted})"
"""
    return Probe("ssh-key", script, _key)


def access_probe(mark: str) -> Probe[AccessFact]:
    """Read what a node grants to lines that end with `mark`, and its host keys from its own disk."""
    script = f"""\
grep -a -F -e {shlex.quote(mark)} ~/.ssh/authorized_keys | sed 's/^/line=/'
sed 's/^/host=/' /etc/ssh/ssh_host_*_key.pub
exit 0
"""
    return Probe(f"ssh-access:{mark}", script, lambda answer: _access(answer, mark))


def login_probe(target: str, known_hosts: str, command: Iterable[str]) -> Probe[LoginFact]:
    """Log in to a node from another by `command`, with the host keys in `known_hosts` and no others."""
    known = shlex.quote(known_hosts)
    script = f"""\
[ -e {known} ] || exit 3
sed 's/^/known=/' {known}
if refusal=$(timeout 20 {shlex.join(command)} true 2>&1); then echo login=works; else
  printf 'login=%s\\n' "$(printf '%s' "$refusal" | tail -n 1)"
fi
"""
    return Probe(f"ssh-login:{target}", script, _login)


def public_key(line: str) -> str:
    """`type base64` of a public key's line, without its comment; empty where it is none."""
    match = _KEY.fullmatch(line.strip())
    return f"{match[1]} {match[2]}" if match else ""


def _key(answer: Answer) -> KeyFact:
    found = {key: lines[-1] for key, lines in values(answer.stdout).items()}
    return KeyFact("mode" in found, public_key(found.get("public", "")), found.get("mode", ""))


def _access(answer: Answer, mark: str) -> AccessFact:
    found = values(answer.stdout)
    keys = (public_key(line) for line in found.get("host", ()))
    lines = (line for line in found.get("line", ()) if line.endswith(f" {mark}"))
    return AccessFact(tuple(lines), tuple(sorted(key for key in keys if key)))


def _login(answer: Answer) -> LoginFact:
    found = values(answer.stdout)
    said = next(iter(found.get("login", ())), "")
    return LoginFact(tuple(found.get("known", ())), bool(said), said == "works", "" if said == "works" else said)
