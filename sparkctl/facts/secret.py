"""Secrets on a node as far as they may be known: never their content."""

import shlex
from dataclasses import dataclass

from sparkctl.facts.probe import Answer, Probe


@dataclass(frozen=True)
class SecretFact:
    """A secret file: its mode, a hash of its content, and its life, which is another when it was delivered anew."""

    mode: str
    sha256: str
    life: str


def secret_probe(path: str) -> Probe[SecretFact | None]:
    """Look at the file; None where there is none."""
    file = shlex.quote(path)
    script = f"stat -c %a {file} && sha256sum < {file} && stat -c %i/%Y {file}"
    return Probe(f"secret:{path.rpartition('/')[2]}", script, _secret)


def _secret(answer: Answer) -> SecretFact | None:
    """Three lines; `sha256sum` ends its own with the name of its input, which is `-`."""
    mode, digest, life = ([*answer.stdout.split("\n"), "", "", ""])[:3]
    return SecretFact(mode, digest.split()[0], life) if answer.rc == 0 and digest.strip() else None
