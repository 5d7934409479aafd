"""`vllm bench serve`, the bench tool of vLLM's own image, in a container beside the one that serves.

The API key reaches it as it reaches the server: a shell inside reads a file; `docker inspect` and argv hold none.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from sparkctl.bench.container import Job, program, run_all
from sparkctl.bench.ground import Run
from sparkctl.bench.results import Level, Load, Spread
from sparkctl.core.service import Secret
from sparkctl.engines.engine import API_KEY, ServeSpec
from sparkctl.errors import CommandFailed
from sparkctl.topology import Cluster

TOOL = "vllm bench serve"
LIMIT_SECONDS = 3600
MISSING = "@missing"
_RESULT, _LEVEL = "@result ", "@level "

SCRIPT = r"""
set -euo pipefail
url=$1 model=$2 name=$3 input=$4 output=$5 rounds=$6 seed=$7
shift 7
python3 -c 'import importlib.util as u, os; v = u.find_spec("vllm"); \
  assert v and os.path.exists(v.submodule_search_locations[0] + "/benchmarks/serve.py")' 2>/dev/null ||
  { echo @missing; exit 0; }
export OPENAI_API_KEY="$(cat /run/secrets/api-key)"
work=$(mktemp -d)
for level in "$@"; do
  echo "@level $level"
  vllm bench serve --base-url "$url" --model "$model" --served-model-name "$name" --seed $((seed + level)) \
    --dataset-name random --random-input-len "$input" --random-output-len "$output" --ignore-eos --temperature 0 \
    --num-prompts $((level * rounds)) --max-concurrency "$level" --percentile-metrics ttft,tpot,itl,e2el \
    --metric-percentiles 90,99 --save-result --result-dir "$work" --result-filename "$level.json" >&2
  echo "@result $(tr -d '\n' <"$work/$level.json")"
done
"""
"""Its default endpoint is /v1/completions. Each level has prompts of its own: the engine caches their beginnings."""


def measure(
    cluster: Cluster,
    spec: ServeSpec,
    key_path: str,
    image_id: str,
    load: Load,
    levels: Sequence[int],
    seed: int,
    run: Run,
) -> tuple[Level, ...]:
    """Every level; none where the image has no such tool. `key_path` is the key's file on the head.

    Raises CommandFailed where the tool fails, UnreachableError.
    """
    url = f"http://{cluster.api_ip}:{spec.ports.api}"
    counts = map(str, (load.input_tokens, load.output_tokens, load.rounds, seed, *levels))
    argv = ("bash", "-c", SCRIPT, "sparkctl", url, spec.model, spec.served_name, *counts)
    service = program(spec, cluster.head, argv, LIMIT_SECONDS, secrets=(Secret(API_KEY, key_path),))
    output = run_all(cluster, [Job(replace(service, devices=()), image_id)], LIMIT_SECONDS, run, _telling(run.say))
    if MISSING in output.splitlines():
        return ()
    try:
        return tuple(parse(output))
    except ValueError as error:
        raise CommandFailed(f"{TOOL} printed no figures: {error}", where=cluster.head.name) from error


def parse(text: str) -> Iterator[Level]:
    """The levels in the output of SCRIPT. Raises ValueError."""
    lines = [line.removeprefix(_RESULT) for line in text.splitlines() if line.startswith(_RESULT)]
    if not lines:
        raise ValueError("no result")
    for line in lines:
        try:
            yield _level(json.loads(line))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{error} is missing in its result") from error


def _level(found: dict[str, float]) -> Level:
    requests, completed = int(found["num_prompts"]), int(found["completed"])
    return Level(
        int(found["max_concurrency"]),
        requests,
        requests - completed,
        float(found["duration"]),
        int(found["total_input_tokens"]),
        int(found["total_output_tokens"]),
        *(_spread(found, name) for name in ("ttft", "tpot", "itl", "e2el")),
    )


def _spread(found: dict[str, float], name: str) -> Spread:
    kinds = ("mean", "median", "p90", "p99")
    mean, median, p90, p99 = (float(found[f"{kind}_{name}_ms"]) for kind in kinds)
    return Spread(mean, median, p90, p99)


def _telling(say: Callable[[str], None]) -> Callable[[str], None]:
    """Say which level is measured, and nothing else of the output."""

    def on_line(line: str) -> None:
        if line.startswith(_LEVEL):
            say(f"{TOOL}: {line.removeprefix(_LEVEL)} at a time")

    return on_line
