"""The ground of the agent platform on the head: its folders, and the document that says what it is."""

import hashlib
from dataclasses import dataclass
from shlex import quote

from sparkctl.core.action import Action
from sparkctl.core.actions import Script, WriteFile
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.steps.host_state import tidy
from sparkctl.steps.place import OnHead, OnNode
from sparkctl.topology import Cluster, Node

NOBODY = 65534
"""The user of the sandbox, who owns no other file on the node."""


@dataclass(frozen=True)
class Folder:
    """A folder below the platform's; `owner` is a user by number, None for the node's login, whose group it has."""

    name: str
    mode: int = 0o700
    owner: int | None = None


def agents_dir(cluster: Cluster, node: Node) -> str:
    """Where the platform's files are on a node."""
    return f"{cluster.state_dir(node)}/agents"


@dataclass(frozen=True)
class FoldersStep(OnNode):
    """Folders of the platform, by name below its own; what is in them outlives `down` and goes with `down --purge`."""

    folders: tuple[Folder, ...]
    name: str = "agents-folders"
    layer: Layer = Layer.MODEL

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("state", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        found = facts.get(self.node, self._probe)
        wrong = [one for one in self.folders if found.get(one.name) != _marks(one)]
        if not wrong:
            return Ok()
        there = [f"{one.name} has mode and owner {found[one.name]}" for one in wrong if one.name in found]
        make = (Script("make the folders of the agents", self._script, sudo=True),)
        return Drifted(tuple(there), make) if there else Absent(make)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if not facts.get(self.node, self._probe):
            return ()
        text = f"rm -rf {quote(self._path)}\n{tidy(self.cluster.state_dir(self.on))}"
        return (Script("remove what the agents keep: database, documents, files", text, sudo=True, timeout=600),)

    @property
    def _script(self) -> str:
        """As root: one of them is another user's."""
        lines = ["set -e"]
        for one in (Folder(""), *self.folders):
            path = quote(f"{self._path}/{one.name}".rstrip("/"))
            owner = one.owner if one.owner is not None else quote(self.on.user)
            lines.append(f'install -d -m {one.mode:o} -o {owner} -g "$(id -g {quote(self.on.user)})" {path}')
        return "\n".join(lines)

    @property
    def _path(self) -> str:
        return agents_dir(self.cluster, self.on)

    @property
    def _probe(self) -> Probe[dict[str, str]]:
        user = quote(self.on.user)
        script = f"cd {quote(self._path)} && stat -c '%a %u %n' * */* | sed \"s/ $(id -u {user}) / - /\""
        return Probe("agents-folders", script, _found)


def _marks(folder: Folder) -> str:
    """Mode and owner, as the probe prints them."""
    return f"{folder.mode:o} {'-' if folder.owner is None else folder.owner}"


def _found(answer: Answer) -> dict[str, str]:
    """Mode and owner by name, of whatever is there."""
    rows = (line.split(" ", 2) for line in answer.stdout.splitlines())
    return {row[2]: f"{row[0]} {row[1]}" for row in rows if len(row) == 3}


@dataclass(frozen=True)
class DocumentStep(OnHead):
    """Files of the platform's configuration, by path below its folder, with their content; they hold no secret."""

    files: tuple[tuple[str, str], ...]
    name: str = "agents-document"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("agents-folders", self.node), step_id("state", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        found = facts.get(self.node, self._probe)
        wrong = [(path, content) for path, content in self.files if found.get(path) != _digest(content)]
        write = tuple(WriteFile(f"{self._folder}/{path}", content, mode=0o644) for path, content in wrong)
        if wrong and not found:
            return Absent(write)
        return Drifted(tuple(f"{path} is not what is configured" for path, _ in wrong), write) if wrong else Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if not (found := facts.get(self.node, self._probe)):
            return ()
        folder, names = quote(self._folder), " ".join(map(quote, found))
        up = f"rmdir --ignore-fail-on-non-empty -p {self._parents}; cd; rmdir {folder}"
        text = f"cd {folder} && rm -f {names}\n{{ {up}; }} 2>/dev/null\n"
        return (Script(f"remove {', '.join(found)}", text + tidy(self.cluster.state_dir(self.cluster.head))),)

    @property
    def _parents(self) -> str:
        return " ".join(quote(name) for name in dict.fromkeys(path.rpartition("/")[0] for path, _ in self.files))

    @property
    def _folder(self) -> str:
        return agents_dir(self.cluster, self.cluster.head)

    @property
    def _probe(self) -> Probe[dict[str, str]]:
        names = " ".join(quote(path) for path, _ in self.files)
        return Probe(f"agents-files:{self.name}", f"cd {quote(self._folder)} && sha256sum {names}", _sums)


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _sums(answer: Answer) -> dict[str, str]:
    """SHA-256 by path, of those that are there."""
    rows = (line.split(maxsplit=1) for line in answer.stdout.splitlines())
    return {row[1]: row[0] for row in rows if len(row) == 2}
