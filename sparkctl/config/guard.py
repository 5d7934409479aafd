"""`Guard`: what keeps a node from running out of memory, a part of the profile."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, StrictBool, model_validator

Gib = Annotated[float, Strict(), Field(gt=0, le=1024, allow_inf_nan=False)]
Seconds = Annotated[float, Strict(), Field(gt=0, le=600, allow_inf_nan=False)]


class Guard(BaseModel):
    """What stops the engine before a node runs out of memory and freezes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    watchdog: StrictBool = Field(default=True, description="Whether sparkctl's watchdog runs on every node.")
    low_gib: Gib = Field(
        default=6, description="MemAvailable in GiB below which, for `low_s`, the engine's containers are stopped."
    )
    low_s: Seconds = Field(default=5, description="How long it must stay below `low_gib`, in seconds.")
    floor_gib: Gib = Field(
        default=3, description="MemAvailable in GiB below which their processes are killed at once."
    )
    pressure_percent: Annotated[float, Strict(), Field(gt=0, le=100, allow_inf_nan=False)] = Field(
        default=20,
        description="Share of the time in which every task waits for memory, in percent (PSI), above which they are"
        " stopped while less than twice `low_gib` is available.",
    )
    pressure_s: Seconds = Field(default=5, description="How long the pressure must last, in seconds.")
    stop_s: Annotated[int, Strict(), Field(ge=0, le=60)] = Field(
        default=5, description="Time that each container is given to stop, in seconds."
    )
    earlyoom: StrictBool = Field(
        default=True, description="Whether `sparkctl setup` installs earlyoom, the second line behind the watchdog."
    )
    earlyoom_percent: Annotated[int, Strict(), Field(ge=1, le=50)] = Field(
        default=2, description="MemAvailable in percent below which earlyoom ends the largest process."
    )
    swap: Literal["keep", "off"] = Field(
        default="off", description="What `sparkctl setup` does about swap: off for good, or as it is."
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Guard":
        if self.floor_gib >= self.low_gib:
            raise ValueError("a floor_gib below low_gib")
        return self
