"""Package sources of apt that the configuration names, for what the node's own sources lack."""

import shlex
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.actions import RemoveFile, Script, WriteFile
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.files import FileFact, files_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.rendering import render
from sparkctl.steps.packages import PackagesStep
from sparkctl.steps.place import OnNode


@dataclass(frozen=True)
class Source:
    """One source in the terms of sources.list(5); `key` is the public key that signs it, in ASCII armour."""

    name: str
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    key: str

    @property
    def path(self) -> str:
        """The file of this source, which sparkctl alone writes."""
        return f"/etc/apt/sources.list.d/sparkctl-{self.name}.sources"

    @property
    def text(self) -> str:
        """Entry and key ring in one (deb822; the key in Signed-By, as apt 2.3.10 and later read it)."""
        key = "\n".join(f" {line.strip() or '.'}" for line in self.key.strip().splitlines())
        return render("apt-source.j2", source=self, key=key)


@dataclass(frozen=True)
class SourcesStep(OnNode):
    """The sources of one node: written where `packages` lacks something, and kept as they should be from then on."""

    sources: tuple[Source, ...]
    packages: PackagesStep
    name: str = "sources"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("state", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe), *self.packages.wants)

    def check(self, facts: Facts) -> Finding:
        found = facts.get(self.node, self._probe)
        wrong = [s for s in self.sources if s.path not in found or not found[s.path].says(s.text)]
        if not wrong or (not found and isinstance(self.packages.check(facts), Ok)):
            return Ok("" if found else "none is needed")
        actions = tuple(action for source in wrong for action in _put(source))
        if not found:
            return Absent(actions)
        return Drifted(tuple(f"{source.path} is not as configured" for source in wrong), actions)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        found = facts.get(self.node, self._probe)
        return tuple(RemoveFile(source.path, sudo=True) for source in self.sources if source.path in found)

    @property
    def _probe(self) -> Probe[dict[str, FileFact]]:
        return files_probe("sources", [source.path for source in self.sources])


def refresh(path: str) -> str:
    """The command that reads the lists of one source, and fails where its key has not signed them."""
    only = ("-o", f"Dir::Etc::sourcelist={path}", "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Get::List-Cleanup=0")
    return shlex.join(("apt-get", "-q", *only, "-o", "APT::Update::Error-Mode=any", "update"))


def _put(source: Source) -> tuple[Action, ...]:
    """The file, and at once what it promises: a file that apt cannot use does not stay."""
    text = f"{refresh(source.path)} || {{ rm -f {shlex.quote(source.path)}; exit 1; }}"
    read = Script(f"read the lists of {source.name}", text, sudo=True, timeout=600)
    return (WriteFile(source.path, source.text, sudo=True), read)
