"""The containers of one served model, from the leftovers of another deployment to the first token."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sparkctl.core.plan import id_of
from sparkctl.core.service import Service, suffixed
from sparkctl.core.step import Step, step_id
from sparkctl.engines import registry
from sparkctl.engines.engine import API_KEY, Backend, Ports, ServeSpec, Store
from sparkctl.facts.engine import LOOK_SECONDS
from sparkctl.memory.demand import GB10_GIB
from sparkctl.runtimes.docker import ContainerStep
from sparkctl.stacks.goods import Goods, backends, caches
from sparkctl.steps.choice import ByImage
from sparkctl.steps.generation import intent_name, stack_steps
from sparkctl.steps.leftovers import LeftoversStep
from sparkctl.steps.ollama import OllamaModelStep, store_path
from sparkctl.steps.ray import JoinStep
from sparkctl.steps.secret import secret_path
from sparkctl.steps.serving import ServingStep
from sparkctl.steps.stack import ONLY, Stack
from sparkctl.topology import Node

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served


PLATFORM = frozenset({"postgres", "milvus", "gateway", "sandbox", "ui", "node-stats", "prometheus", "grafana"})
"""Names of the services of the agent platform, which has steps of its own."""


@dataclass(frozen=True)
class Workload:
    """One served model as steps; `look_seconds` is how long a look at what serves waits for a token."""

    config: "Config"
    served: "Served"
    look_seconds: int = LOOK_SECONDS

    def steps(self) -> tuple[Step, ...]:
        """Every step; where only the image can tell the backend, each is chosen by it."""
        made = {backend: self._engine(backend) for backend in backends(self.served)}
        if len(made) == 1:
            return next(iter(made.values()))
        ray, other = ({(s.name, s.node): s for s in steps} for steps in _ray_first(made))
        cluster, reference, look = (
            self.config.cluster,
            self.served.image.ref,
            Goods(self.config).look_step(self.served),
        )
        return tuple(ByImage(cluster, reference, ray.get(key), other.get(key), look) for key in {**ray, **other})

    def waiting(self) -> tuple[Step, ...]:
        """What a role needs that nobody has launched: nothing of it goes, nothing of it comes."""
        return tuple(self._leftovers(backends(self.served)))

    def services(self, backend: Backend) -> tuple[Service, ...]:
        """Its containers in start order, the one that answers clients last."""
        made = registry.engine(self.served.engine.name).services(
            serve_spec(self.config, self.served, backend), self.served.cluster, key_path(self.config, self.served)
        )
        return tuple(suffixed(service, self.served.suffix) for service in made)

    def serving(self, backend: Backend) -> ServingStep:
        """The step that sees it answer."""
        return self._serving(self.services(backend))

    def loading(self, backend: Backend) -> tuple[Step, ...]:
        """The steps that load the model where the engine does not do it by itself."""
        return self._loaded(self.services(backend))

    def everywhere(self) -> frozenset[str]:
        """Names of its services, whatever the backend."""
        return frozenset(s.name for backend in backends(self.served) for s in self.services(backend))

    def _engine(self, backend: Backend) -> tuple[Step, ...]:
        """On record before anything goes."""
        intent = step_id(intent_name(self.served.suffix), self.config.cluster.head.name)
        return (*self._leftovers((backend,), (intent,)), *self._containers(backend))

    def _leftovers(self, running: Iterable[Backend], after: tuple[str, ...] = ()) -> Iterable[Step]:
        """On every node, no service of this model but those of these backends; `stop` and `down` find each once."""
        config, wished = self.config, [s for backend in running for s in self.services(backend)]
        known = frozenset(name for served in config.served for name in Workload(config, served).everywhere())
        first = self.served.name == config.served[0].name
        known |= PLATFORM if config.profile.platform else frozenset()
        for node in config.cluster.nodes:
            yield replace(
                cleared(config, node),
                wished=frozenset(service.name for service in wished if service.node == node.name),
                own=self.everywhere(),
                known=known,
                strays=first,
                unit=self.unit,
                after=after,
                name=f"leftovers{self.served.suffix}",
            )

    def _containers(self, backend: Backend) -> tuple[Step, ...]:
        cluster, suffix = self.config.cluster, self.served.suffix
        services = tuple(self._rooted(service) for service in self.services(backend))
        serving, image = self._serving(services), Goods(self.config).image_step(self.served)
        make = partial(ContainerStep, image=image, failures=serving.failures)
        if backend is not Backend.RAY:
            alone = make(services[-1].name, cluster, services)
            return (*self._whole((alone,), serving), *self._loaded(services))
        head, *workers, api = services
        containers = (
            make(head.name, cluster, (head,), above=(*workers, api)),
            *(make(worker.name, cluster, (worker,), below=(head,), above=(api,)) for worker in workers),
            make(api.name, cluster, (api,), below=(head, *workers)),
        )
        seconds = self.config.profile.timeouts.join_s
        return self._whole(containers, serving, JoinStep(self.served.cluster, self.served.ports.ray, seconds, suffix))

    def _whole(
        self, containers: tuple[ContainerStep, ...], serving: ServingStep, join: JoinStep | None = None
    ) -> tuple[Step, ...]:
        """The steps of a stack that is changed, put back and brought back as one."""
        served, reserve = self.served, self.config.profile.host.reserve_gib
        gib = reserve + (served.engine.weights_gib or 0.0) / len(served.cluster.nodes)
        memory = tuple((node.name, int(gib * 2**30)) for node in served.cluster.nodes)
        cluster, model = self.config.cluster, (served.model.id, served.model.revision)
        engine, suffix = served.engine.name, served.suffix
        return stack_steps(Stack(cluster, self.unit, suffix, containers, serving, *model, join, memory, engine))

    @property
    def unit(self) -> str:
        """What the keeper calls it."""
        return self.served.name or ONLY

    def _serving(self, services: tuple[Service, ...]) -> ServingStep:
        served, engine = self.served, registry.engine(self.served.engine.name)
        return ServingStep(
            served.cluster,
            services,
            served.ports.api,
            served.served_name,
            key_path(self.config, served),
            self.config.profile.timeouts.ready_s,
            self.look_seconds,
            f"serving{served.suffix}",
            engine.API,
            engine.FAILURES,
            tuple(map(id_of, self._loaded(services))),
        )

    def _loaded(self, services: tuple[Service, ...]) -> tuple[Step, ...]:
        """What loads the model where the engine does not do it by itself."""
        served = self.served
        if registry.engine(served.engine.name).STORE is not Store.OLLAMA:
            return ()
        names, context = (served.model.id, served.served_name), served.engine.max_model_len
        name = f"ollama-model{served.suffix}"
        return (OllamaModelStep(served.cluster, services[-1], served.ports.api, *names, context, name),)

    def _rooted(self, service: Service) -> Service:
        """A service with the steps that must hold before its container starts."""
        config, node, goods = self.config, service.node, Goods(self.config)
        head = config.cluster.head.name
        names = ["docker", "state", "cache", "ports", goods.image_step(self.served), f"leftovers{self.served.suffix}"]
        names += ["guard", "guard-trip", *["fabric"] * bool(config.cluster.workers)]
        needs = [step_id(intent_name(self.served.suffix), head), *(step_id(name, node) for name in names)]
        if registry.engine(self.served.engine.name).LOOK:
            needs.append(step_id(goods.look_step(self.served), head))
        needs += [step_id("memory", one.name) for one in self.served.cluster.nodes]
        if config.profile.store.kind == "nfs" and node != head:
            needs.append(step_id("nfs-mount", node))
        if not service.name.startswith("ray-"):
            needs += goods.model_steps(self.served)
        needs += [step_id(f"secret-{secret.name}", node) for secret in service.secrets]
        if service.joins:
            needs.append(step_id(f"ray-join{self.served.suffix}", node))
        return replace(service, needs=tuple(needs))


def _ray_first(made: dict[Backend, tuple[Step, ...]]) -> list[tuple[Step, ...]]:
    return [made[backend] for backend in sorted(made, key=lambda backend: backend is not Backend.RAY)]


def cleared(config: "Config", node: Node) -> LeftoversStep:
    """A node on which no container of this cluster runs."""
    nothing = frozenset[str]()
    return LeftoversStep(config.cluster, node, nothing, nothing, nothing, int(config.profile.timeouts.drain_s))


def key_path(config: "Config", served: "Served") -> str:
    """Where the API key lies on the node that answers clients."""
    return secret_path(config.cluster, served.cluster.head, API_KEY)


def serve_spec(config: "Config", served: "Served", backend: Backend) -> ServeSpec:
    """What the engine is asked for."""
    cluster, engine, model = served.cluster, served.engine, served.model
    shared, weights = registry.engine(engine.name).rank_secret(backend), engine.weights_gib or 0.0
    role = served.role
    return ServeSpec(
        image=served.image.ref,
        model=model.id,
        served_name=served.served_name,
        revision="" if model.revision == "main" else model.revision,
        tensor_parallel=served.tensor_parallel,
        max_model_len=engine.max_model_len,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        backend=backend,
        hf_cache=caches(config),
        ports=Ports(**served.ports.model_dump()),
        max_num_seqs=engine.max_num_seqs,
        dtype=engine.dtype or "",
        load_format=engine.load_format or "",
        trust_remote_code=engine.trust_remote_code,
        expert_parallel=engine.expert_parallel,
        shm_bytes=int(engine.shm_gib * 2**30),
        extra_args=engine.extra_args,
        env=tuple(engine.env.items()),
        stop_seconds=int(config.profile.timeouts.drain_s),
        drop_caches=config.profile.host.drop_caches,
        temperature=role.temperature if role else None,
        sleeps=bool(role and role.sleep),
        weights_share=weights / len(cluster.nodes) / GB10_GIB,
        store={node.name: store_path(config.cluster, node) for node in cluster.nodes},
        rank_secret={node.name: secret_path(cluster, node, shared) for node in cluster.nodes} if shared else {},
    )
