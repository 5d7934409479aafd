"""earlyoom on a node: its settings, whether it runs, and with which arguments."""

import shlex
from dataclasses import dataclass

from sparkctl.facts.lines import pairs
from sparkctl.facts.probe import Answer, Probe

SETTINGS = "/etc/default/earlyoom"


@dataclass(frozen=True)
class EarlyoomFact:
    """`installed` is true where systemd knows the unit; `text` is the file of settings, empty where there is none.

    `arguments` are those of the running process, empty where none runs; `kept` says that we keep what was before us.
    """

    installed: bool
    enabled: bool
    text: str
    arguments: str
    kept: bool


def earlyoom_probe(kept: str) -> Probe[EarlyoomFact]:
    """Look at the unit, the settings and the process; `kept` is the folder of what was there before us."""
    script = f"""\
systemctl show -p LoadState -p UnitFileState -p MainPID earlyoom.service
printf 'text=%s\\n' "$(head -c 4096 {SETTINGS} | tr '\\n' '\\001')"
pid=$(systemctl show -p MainPID --value earlyoom.service)
[ "${{pid:-0}}" = 0 ] || printf 'running=%s\\n' "$(tr '\\0' ' ' <"/proc/$pid/cmdline")"
[ -d {shlex.quote(kept)} ] && echo kept=yes
exit 0
"""
    return Probe("earlyoom", script, lambda answer: _earlyoom(answer))


def _earlyoom(answer: Answer) -> EarlyoomFact:
    found = pairs(answer.stdout)
    return EarlyoomFact(
        installed=found.get("LoadState") == "loaded",
        enabled=found.get("UnitFileState") == "enabled",
        text=found.get("text", "").replace("\x01", "\n"),
        arguments=found.get("running", "").partition(" ")[2].strip(),
        kept="kept" in found,
    )
