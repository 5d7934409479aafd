"""What a node says of itself at one moment: the answer of its `/facts`. What nobody there can say is null.

Bytes are bytes, percent goes from 0 to 100, times are seconds.
"""

from pydantic import BaseModel, ConfigDict


class Fact(BaseModel):
    """Fixed once read; unknown keys are left out, so that a newer node can be read by an older page."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Memory(Fact):
    """`/proc/meminfo`: on unified memory, the GPU's too. `available` is what can be had without swapping."""

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int
    swap_free_bytes: int


class Pressure(Fact):
    """`/proc/pressure/memory`: percent of the last 10 s in which some, or all, tasks waited for memory."""

    some_percent: float
    full_percent: float


class Disk(Fact):
    """The file system under `path`."""

    path: str
    total_bytes: int
    available_bytes: int


class Interface(Fact):
    """A network interface. RDMA goes past the kernel's counters, so what it carried is counted apart."""

    name: str
    fabric: bool
    up: bool
    speed_mbit: int | None
    received_bytes: int
    sent_bytes: int
    rdma_device: str | None
    rdma_received_bytes: int | None
    rdma_sent_bytes: int | None


class Gpu(Fact):
    """A card as nvidia-smi shows it. GB10 has no memory of its own: both figures are null, see `Memory`."""

    index: int
    name: str
    utilization_percent: float | None
    memory_total_bytes: int | None
    memory_used_bytes: int | None
    temperature_celsius: float | None
    power_watts: float | None


class Facts(Fact):
    """The whole node; `at` is Unix time, `load` the one-minute average."""

    node: str
    at: float
    uptime_seconds: float
    cpus: int
    load: float
    memory: Memory
    pressure: Pressure | None
    disks: tuple[Disk, ...]
    interfaces: tuple[Interface, ...]
    gpus: tuple[Gpu, ...]
