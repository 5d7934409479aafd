"""Models that do not fit, or that cannot be what they say: refused by the plan, with the sums, before any change."""

import json

import pytest
from faults import Deployment, assert_clear, untouched

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare")]

LARGE = {
    "model_type": "llama",
    "hidden_size": 16384,
    "intermediate_size": 53248,
    "num_hidden_layers": 126,
    "num_attention_heads": 128,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
"""Llama 3.1 405B."""


def test_model_that_does_not_fit(deploy: Deployment) -> None:
    with deploy.lab.hub_model("sparklab/large", config_json=json.dumps(LARGE)) as model:
        with untouched(*deploy.lab.nodes):
            result = deploy("up", "-y", "--set", f"MODEL={model}")
        sums = ("memory@spark-1", f"{model} does not fit", "weights 1.5 TiB / 2 = 756.0 GiB (fp32)", "too much")
        assert_clear(result, 1, *sums)
        result = deploy("fit", model)
        assert_clear(result, 2, "does not fit: 1 x 512 tokens on 2 nodes", "nodes that it needs")


def test_heads_that_the_nodes_cannot_share(deploy: Deployment) -> None:
    odd = {**LARGE, "hidden_size": 768, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 3}
    with deploy.lab.hub_model("sparklab/odd", config_json=json.dumps(odd)) as model:
        told = "KV heads: 3 heads by tensor parallelism 2; accepted: a divisor: 1, 3"
        assert_clear(deploy("plan", "--set", f"MODEL={model}"), 1, told, "choose a tensor_parallel")
        assert_clear(deploy("fit", model), 3, told)


def test_config_that_is_missing_or_nonsense(deploy: Deployment) -> None:
    with deploy.lab.hub_model("sparklab/bare", model_gguf="weights") as model:
        told = f"config.json of {model} (hub): its text: nothing; accepted: a JSON object"
        assert_clear(deploy("plan", "--set", f"MODEL={model}"), 1, told)
        assert_clear(deploy("fit", model), 3, told)
    with deploy.lab.hub_model("sparklab/odder", config_json='{"hidden_size": -1}') as model:
        both = ("hidden_size: -1; accepted: a whole number", "num_hidden_layers: not there")
        assert_clear(deploy("plan", "--set", f"MODEL={model}"), 1, *both)
        assert_clear(deploy("fit", model), 3, *both)


def test_model_that_the_hub_does_not_have(deploy: Deployment) -> None:
    """The plan leaves it to the download; fit, which has nothing else to ask, says so."""
    result = deploy("plan", "--json", "--set", "MODEL=sparklab/none")
    assert_clear(result, 0)
    found = {item["id"]: item["finding"] for item in json.loads(result.stdout)["items"]}
    assert found["memory@spark-1"] == "pending"
    assert_clear(deploy("fit", "sparklab/none"), 3, "no sparklab/none")
