"""The team of the configuration as agents of openai-agents, each bound to its model: made once for a platform."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents import Agent, ModelSettings, Tool

from sparkctl.agent_spec import Agents, AgentsDocument, AgentSpec
from sparkctl.agents.core.endpoints import Endpoints
from sparkctl.agents.core.failure import Refused, Unknown
from sparkctl.agents.core.kind import Kind, kind_of
from sparkctl.agents.core.run import Context, Run


@dataclass(frozen=True)
class Member:
    """An agent of the team: its entry, and its kind."""

    name: str
    spec: AgentSpec
    kind: Kind

    @property
    def description(self) -> str:
        """What the supervisor reads."""
        return self.spec.description or self.kind.description


@dataclass(frozen=True)
class Team:
    """Every agent, by name. The agent of a member that routes is what it is when it answers by itself."""

    members: Mapping[str, Member]
    agents: Mapping[str, Agent[Run]]
    entry: str

    def member(self, name: str) -> Member:
        """One of the team; an empty name is the entry. Raises Unknown."""
        wanted = name or self.entry
        if wanted not in self.members:
            raise Unknown(f"no agent is named {wanted}: there are {', '.join(self.members)}")
        return self.members[wanted]

    def specialists(self) -> dict[str, Member]:
        """Who may be handed a request."""
        return {name: one for name, one in self.members.items() if not one.kind.routes}


def members(agents: Agents) -> dict[str, Member]:
    """The team by name, without its models. Raises Refused for an unknown kind."""
    return {name: Member(name, spec, kind_of(spec.kind)) for name, spec in agents.team.items()}


def team_of(document: AgentsDocument, endpoints: Endpoints) -> Team:
    """The team, ready to run. Raises Refused for an unknown kind or tool, Unknown for an unknown model or entry."""
    agents = document.agents
    found = members(agents)
    made = {name: agent_of(one, endpoints, agents.limits.answer_tokens) for name, one in found.items()}
    team = Team(found, made, agents.entry)
    team.member(agents.entry)
    return team


def agent_of(one: Member, endpoints: Endpoints, answer_tokens: int) -> Agent[Run]:
    """The agent with its allowed tools, and without handoffs. Raises Unknown for its model, Refused for a tool."""
    spec, kind = one.spec, one.kind
    settings = ModelSettings(temperature=spec.temperature, max_tokens=answer_tokens, include_usage=True)
    return Agent[Run](
        name=one.name,
        instructions=_instructions(kind.answers if kind.routes else spec.instructions or kind.instructions),
        handoff_description=one.description,
        model=endpoints.find(spec.model).model(),
        model_settings=settings,
        tools=tools_of(one),
    )


def tools_of(one: Member) -> list[Tool]:
    """Those of its kind that its entry allows. Raises Refused for one that its kind does not have."""
    known = {tool.name: tool for tool in one.kind.tools()}
    wanted = known if one.spec.tools is None else one.spec.tools
    if unknown := [name for name in wanted if name not in known]:
        there = ", ".join(known) or "none"
        raise Refused(f"the agent {one.name} has no tool named {unknown[0]}: of its kind there are {there}")
    return [tool for name, tool in known.items() if name in wanted]


def _instructions(own: str) -> Callable[[Context, Agent[Run]], str]:
    """The agent's own instructions, then the client's: one system message, as many chat templates take but one."""
    return lambda context, _agent: "\n\n".join(filter(None, (own, context.context.instructions)))
