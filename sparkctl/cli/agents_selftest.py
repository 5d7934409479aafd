"""`sparkctl agents selftest`: whether code of models may run on this node, and why not."""

from typing import TYPE_CHECKING

from sparkctl.cli.common import JsonOption, NoColorOption, QuietOption

if TYPE_CHECKING:
    from sparkctl.agents.sandbox.selftest import Report


def show(found: "Report", *, json: JsonOption, quiet: QuietOption, no_color: NoColorOption) -> int:
    """Print what was tried; 2 where something was possible that must not be."""
    from sparkctl.report.page import Line
    from sparkctl.report.screen import Screen

    screen = Screen("agents-selftest", json, quiet, no_color=no_color)
    checks = [{"name": one.name, "fault": one.fault} for one in found.checks]
    screen.put(passed=not found.faults, landlock=found.landlock, languages=list(found.languages), checks=checks)
    screen.show([Line(f"{one.name:<34}{one.fault or 'denied'}", "red" if one.fault else "") for one in found.checks])
    if found.faults:
        screen.tell(f"code is not run: {found.faults}", "red")
    else:
        screen.tell(f"code is run, in {', '.join(found.languages)}", "green")
    screen.finish()
    return 2 if found.faults else 0
