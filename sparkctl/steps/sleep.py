"""A vLLM in its sleep mode put to sleep, or woken: it frees the memory of its KV cache and keeps its process."""

from dataclasses import dataclass
from shlex import quote

from sparkctl.core.action import Action
from sparkctl.core.actions import Script
from sparkctl.core.step import Absent, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.engine import sleeping_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.place import OnHead

SLEEP = "/sleep?level=1&mode=wait"
"""Level 1 keeps the weights in main memory, which is the same memory on a Spark: what is freed there is the KV cache.
Requests that run are waited for. Level 2 would need `/collective_rpc` to load the weights anew, a door left shut."""
WAKE = "/wake_up"
SECONDS = 300
"""How long either may take: running requests are waited for, weights are copied; our choice."""


@dataclass(frozen=True)
class SleepStep(OnHead):
    """One service of `cluster`'s head that sleeps (`asleep`), or is awake."""

    service: str
    port: int
    key_path: str
    asleep: bool
    layer: Layer = Layer.WORKLOAD

    @property
    def name(self) -> str:
        return f"{'asleep' if self.asleep else 'awake'}:{self.service}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("docker", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self.probe),)

    @property
    def probe(self) -> Probe[bool | None]:
        """Whether it sleeps."""
        return sleeping_probe(self.cluster.api_ip, self.port, self.key_path)

    def check(self, facts: Facts) -> Finding:
        found = facts.get(self.node, self.probe)
        if found is None:
            return Pending(step_id(self.service, self.node), f"{self.service} does not say whether it sleeps")
        return Ok() if found is self.asleep else Absent((self._post(SLEEP if self.asleep else WAKE),))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def _post(self, path: str) -> Script:
        """The key goes to curl through a descriptor, never through argv."""
        key = f"""-H @<(printf 'Authorization: Bearer %s' "$(cat {quote(self.key_path)})")"""
        url = f"http://{self.cluster.api_ip}:{self.port}{path}"
        text = f"curl -sSf --noproxy '*' -m {SECONDS} -X POST -o /dev/null {key} {quote(url)}\n"
        summary = (
            f"let {self.service} sleep, once its requests are answered" if self.asleep else f"wake {self.service}"
        )
        return Script(summary, text, timeout=SECONDS + 10)
