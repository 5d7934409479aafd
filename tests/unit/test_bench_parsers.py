"""What the tools of a bench print, read into figures; nonsense is an error with words, never a traceback."""

import json
from pathlib import Path

import pytest
from bench_samples import LINKS

from sparkctl.bench import engine_tool, gather, load, ping, rdma, roofline, tcp
from sparkctl.bench.load import Request
from sparkctl.bench.look import _ground, _link
from sparkctl.bench.results import Spread
from sparkctl.bench.roofline import Active
from sparkctl.facts.fabric import fabric_probe
from sparkctl.facts.model import ModelFact
from sparkctl.facts.probe import Answer, Facts
from sparkctl.topology import Node, Role

DATA = Path(__file__).parent / "data" / "bench"


def read(name: str) -> str:
    return (DATA / name).read_text()


def test_ping_as_iputils_prints_it() -> None:
    sent, lost, times = ping.parse(read("ping.txt"))
    assert (sent, lost) == (5, 0.0)
    assert times[0] is not None and 0 < times[0] <= (times[1] or 0) <= (times[2] or 0)
    assert ping.parse(read("ping-lost.txt")) == (2, 100.0, (None, None, None))
    assert ping.parse("20 packets transmitted, 19 received, 5% packet loss, time 3ms")[1] == 5.0


@pytest.mark.parametrize("text", ["", "ping: connect: Network is unreachable", "0 packets transmitted, 0 received"])
def test_ping_that_never_went(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ping.parse(text)


def test_iperf3_counts_what_arrived() -> None:
    gbit, seconds = tcp.parse_iperf3(read("iperf3.json"))
    received = json.loads(read("iperf3.json"))["end"]["sum_received"]
    assert gbit == pytest.approx(received["bytes"] * 8 / received["seconds"] / 1e9, rel=1e-3)
    assert seconds == pytest.approx(1.0, abs=0.2)


def test_iperf3_that_failed_says_its_own_words() -> None:
    with pytest.raises(ValueError, match="Connection refused"):
        tcp.parse_iperf3('{"end": {}, "error": "unable to connect to server: Connection refused"}')


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"end": {"sum_received": {}}}', "iperf3: not found"])
def test_tcp_nonsense(text: str) -> None:
    for parse in (tcp.parse_iperf3, tcp.parse_ours):
        with pytest.raises(ValueError, match=r".+"):
            parse(text)


def test_our_sender_counts_bits() -> None:
    assert tcp.parse_ours('{"bytes": 2500000000, "seconds": 2.0}') == (10.0, 2.0)


def test_ib_write_bw_prints_peak_before_average() -> None:
    assert rdma.parse(read("ib_write_bw.txt")) == 92.57
    with pytest.raises(ValueError, match="no figures"):
        rdma.parse("IB device rocep1s0f1 not found\nUnable to find the Infiniband/RoCE device\n")


def test_gather_counts_as_nccl_tests_do() -> None:
    backend, sizes = gather.parse(read("gather.txt"), 2)
    assert (backend, [size.bytes for size in sizes]) == ("nccl", [1 << 25, 1 << 30])
    assert sizes[0].bus_gbyte == pytest.approx((1 << 25) / 2 / 0.00096 / 1e9)
    assert sizes[1].seconds == 0.0236
    assert gather.parse(read("gather.txt"), 4)[1][0].bus_gbyte == pytest.approx((1 << 25) * 3 / 4 / 0.00096 / 1e9)


def test_gather_names_the_way_that_nccl_went() -> None:
    assert gather.transport_of(read("gather.txt")) == "RoCE"
    assert gather.transport_of("NCCL INFO NET/Socket : Using [0]enp1s0f1np1:192.168.100.10<0>") == "sockets"
    assert gather.transport_of("{}") == ""


@pytest.mark.parametrize("text", ["", '{"backend": "nccl"}\n{"bytes": 1}', '{"bytes": 4, "seconds": [1]}', '{"b'])
def test_gather_nonsense(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        gather.parse(text, 2)


def test_vllm_bench_serve() -> None:
    (level,) = engine_tool.parse(f"@level 2\n@result {read('vllm-bench-serve.json')}")
    assert (level.concurrency, level.requests, level.failed, level.output_tokens) == (2, 4, 0, 128)
    assert level.ttft == Spread(106.46726775030402, 83.73159549955744, 191.80654200026768, 216.70767270050416)
    assert level.output_rate == pytest.approx(80.18, abs=0.01)


@pytest.mark.parametrize("text", ["", "@result {}", "@result []", "@result", '@result {"num_prompts": "x"}'])
def test_vllm_bench_serve_nonsense(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(engine_tool.parse(text))


def test_our_client_defines_times_as_vllm_does() -> None:
    answered = [Request(0.1, (0.02, 0.04), 0.16, 10, 3), Request(0.3, (), 0.3, 10, 1)]
    level = load.level(2, answered, 1, 0.5)
    assert (level.requests, level.failed, level.input_tokens, level.output_tokens) == (3, 1, 20, 4)
    assert level.output_rate == 8.0
    assert level.ttft.mean == pytest.approx(200)
    assert level.tpot.median == pytest.approx(30)  # the request of one token has none
    assert level.itl.p90 == pytest.approx(38)
    assert load.spread([]) == Spread(0.0, 0.0, 0.0, 0.0)


def test_percentiles_are_those_of_numpy() -> None:
    assert [load.percentile([1, 2, 4, 8], share) for share in (0, 0.5, 0.9, 1)] == pytest.approx([1, 3, 6.8, 8])


def test_texts_differ_and_are_of_one_length() -> None:
    texts = {load.text(30) for _ in range(20)}
    assert len(texts) == 20
    assert {len(text.split()) for text in texts} == {30}
    assert {tuple(sorted(text.split()[:12])) for text in texts} == {tuple(sorted(load.WORDS))}


def test_a_virtual_interface_has_no_speed_whatever_ethtool_says() -> None:
    node = Node("spark-1", Role.HEAD, "192.0.2.1", "spark", 22, "192.168.100.10", "enp1s0f1np1")
    said = "speed=200000Mb/s\nrdma=rocep1s0f1 port 1 ==> enp1s0f1np1 (Up)\nrdma=rocep1s0f0 port 1 ==> enp1s0f0np0 (Up)"
    facts = Facts({"spark-1": {fabric_probe("enp1s0f1np1", (), None).name: Answer(said)}})
    real = _link(facts, node, _ground(Answer("driver=mlx5_core\ntool=ping\nport=22\nport=x\n")))
    assert (real.gbit, real.driver, real.rdma) == (200.0, "mlx5_core", ("rocep1s0f1",))
    assert _link(facts, node, _ground(Answer(""))).gbit is None


MIXTURE = {
    "model_type": "qwen3_moe", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 128, "moe_intermediate_size": 32, "intermediate_size": 32,
    "num_experts": 8, "num_experts_per_tok": 2, "torch_dtype": "bfloat16",
}  # fmt: skip
DENSE = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 128, "intermediate_size": 256, "torch_dtype": "bfloat16",
}  # fmt: skip


def test_a_dense_model_is_read_whole() -> None:
    files = ModelFact("c0ffee", {"model.safetensors": 16_100_000_000, "config.json": 700}, {})
    assert roofline.active(json.dumps(DENSE), files, "").bytes == 16_100_000_000 - 128 * 64 * 2


def test_a_mixture_is_read_in_part() -> None:
    whole = roofline.active(json.dumps({**MIXTURE, "num_experts_per_tok": 8}), None, "").bytes or 0
    part = roofline.active(json.dumps(MIXTURE), None, "").bytes or 0
    experts = 2 * 8 * 3 * 64 * 32  # layers, experts, matrices of hidden by inner
    assert whole - part == pytest.approx(experts * 2 * 6 / 8)


@pytest.mark.parametrize("config", ["", "{}", "[]", "nonsense", json.dumps({**MIXTURE, "num_experts_per_tok": "x"})])
def test_an_unknown_model_has_no_roofline(config: str) -> None:
    found = roofline.active(config, None, "")
    assert found.bytes is None
    assert found.why


@pytest.mark.parametrize(
    ("name", "gbyte", "measured"),
    [
        ("gpt-oss-120b", 4.97, None),  # 5.1 billion active: 3.6 in MXFP4, the rest in 16 bit
        ("llama-3.3-70b-fp8", 68.9, 2.7),
        ("llama-3.1-8b", 15.0, 17.0),
        ("qwen3-coder-30b-a3b", 6.0, None),
    ],
)
def test_published_speeds_are_below_the_roofline(name: str, gbyte: float, measured: float | None) -> None:
    read = json.loads((DATA.parent / "models" / f"{name}.json").read_text())
    size = {"model.safetensors": int(read["published"]["weights_gb"] * 1e9)}
    found = roofline.active(json.dumps(read["config"]), ModelFact("c0ffee", size, {}), "").bytes or 0
    assert found / 1e9 == pytest.approx(gbyte, rel=0.06)
    assert not measured or measured <= roofline.SPARK_GBYTE / (found / 1e9) * 1.02


def test_roofline_of_sparks_alone() -> None:
    from bench_samples import SPARKS, level

    found = roofline.roofline(Active(65.3e9), SPARKS, 2, [level(8), level(1, tpot=20.0)])
    assert found.tokens_per_s == pytest.approx(2 * 273 / 65.3)
    assert found.reached == pytest.approx(50 / (2 * 273 / 65.3))
    assert roofline.roofline(Active(None, "unknown"), SPARKS, 2, []).note == "unknown"
    strange = [SPARKS[0], type(SPARKS[1])("spark-2", "x86_64", "NVIDIA GB10", spark=False)]
    assert not roofline.roofline(Active(65.3e9), strange, 2, []).known
    assert "spark-2: no Spark" in roofline.roofline(Active(65.3e9), strange, 2, []).note
    assert LINKS[0].gbit == 200.0
