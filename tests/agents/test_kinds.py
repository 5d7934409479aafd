"""What a profile may name is what there is: the kinds of agents, and the tools of each."""

from sparkctl.agent_spec import TOOLS
from sparkctl.agents.core.kind import KINDS, kind_of


def test_a_profile_may_name_the_kinds_and_tools_that_there_are() -> None:
    there = {name: tuple(tool.name for tool in kind_of(name).tools()) for name in KINDS}
    assert there == dict(TOOLS)
