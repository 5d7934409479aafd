"""`/agents`: the team, and whether the model of each is served."""

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel, Field

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.core.platform import Platform
from sparkctl.agents.core.principal import Scope
from sparkctl.agents.core.team import Member

router = APIRouter(tags=["agents"])


class AgentBody(BaseModel):
    """An agent of the team."""

    name: str
    type: str = Field(description="Its kind.")
    model: str = Field(description="What its engine calls its model.")
    description: str
    capabilities: tuple[str, ...]
    tools: tuple[str, ...]
    healthy: bool = Field(description="Whether its engine answers and lists its model.")


@router.get("/agents")
async def index(caller: Caller, platform: Home) -> list[AgentBody]:
    """The team. Health is asked of the engines, and believed for a few seconds."""
    caller.require(Scope.CHAT)
    return list(await asyncio.gather(*(_body(platform, one) for one in platform.team.members.values())))


async def _body(platform: Platform, one: Member) -> AgentBody:
    served = platform.endpoints.find(one.spec.model)
    return AgentBody(
        name=one.name,
        type=one.spec.kind,
        model=served.endpoint.id,
        description=one.description,
        capabilities=one.kind.capabilities,
        tools=tuple(tool.name for tool in platform.team.agents[one.name].tools),
        healthy=await platform.listings.serves(served),
    )
