"""Which containers of a node use what: images, and folders of the host."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkctl.core.service import LABEL_CLUSTER
from sparkctl.facts.docker import ALLOWED
from sparkctl.facts.probe import Answer, Facts, Probe
from sparkctl.topology import Cluster

_OURS = f'(index .Config.Labels "{LABEL_CLUSTER}")'
_FORMAT = (
    '{"name":{{json .Name}},"image":{{json .Image}},"running":{{json .State.Running}},'
    f'"cluster":{{{{json {_OURS}}}}},"words":{{{{if {_OURS}}}}}{{{{json .Args}}}}{{{{else}}}}[]{{{{end}}}},'
    '"mounts":[{{range $i, $m := .Mounts}}{{if $i}},{{end}}{{json $m.Source}}{{end}}]}'
)
"""The arguments of our own containers alone: those of others may hold a secret."""


@dataclass(frozen=True)
class UserFact:
    """One container: its image's id, the cluster of ours that it belongs to or empty, its arguments where it is ours,
    and the folders of the host that it sees."""

    name: str
    image: str
    running: bool
    cluster: str
    words: tuple[str, ...]
    mounts: tuple[str, ...]

    def sees(self, folder: str) -> bool:
        """Whether it mounts that folder, one around it or one inside it."""
        return any(_within(folder, mount) or _within(mount, folder) for mount in self.mounts)

    def names(self, repo: str) -> bool:
        """Whether its arguments name that model."""
        return bool(re.search(rf"(?<![\w./-]){re.escape(repo)}(?![\w./-])", " ".join(self.words)))


USERS: Probe[tuple[UserFact, ...] | None] = Probe(
    "users",
    f"{ALLOWED}ids=$($ask docker ps -aq --no-trunc) || exit 3\n"
    f"[ -z \"$ids\" ] || $ask docker inspect -f '{_FORMAT}' $ids\nexit 0",
    lambda answer: _users(answer),
)
"""Every container, running or not; None when the engine does not answer."""


def loaded(users: Mapping[str, tuple[UserFact, ...]], repo: str, folder: str, node: str) -> tuple[str, ...]:
    """The running containers of a node that use a model in `folder`, or may.

    One of ours uses what the arguments of its cluster name, on whatever node they stand: ranks and Ray's workers name
    none. One of somebody else's may use all that it mounts. `users` are the containers of every node.
    """
    found = []
    for user in users.get(node, ()):
        if not (user.running and user.sees(folder)):
            continue
        mates = [mate for others in users.values() for mate in others if mate.running and mate.cluster == user.cluster]
        named = not user.cluster or not _name_any(mates) or any(mate.names(repo) for mate in mates)
        if named:
            found.append(user.name)
    return tuple(sorted(found))


def users_of(cluster: Cluster, facts: Facts) -> dict[str, tuple[UserFact, ...]]:
    """The containers of every node."""
    found = {node.name: facts.get(node.name, USERS) for node in cluster.nodes}
    return {name: users or () for name, users in found.items()}


def _name_any(mates: Sequence[UserFact]) -> bool:
    """Whether a container of the cluster says which model it serves."""
    return any(word == "serve" or word.startswith("--model") for mate in mates for word in mate.words)


def _users(answer: Answer) -> tuple[UserFact, ...] | None:
    if answer.rc != 0:
        return None
    return tuple(user for line in answer.stdout.splitlines() if (user := _user(line)))


def _user(line: str) -> UserFact | None:
    try:
        data = json.loads(line)
        return UserFact(
            name=str(data["name"]).lstrip("/"),
            image=str(data["image"]),
            running=data["running"] is True,
            cluster=str(data["cluster"] or ""),
            words=tuple(map(str, data["words"] or ())),
            mounts=tuple(map(str, data["mounts"] or ())),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _within(inner: str, outer: str) -> bool:
    return f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/")
