"""Fake nodes that hold models and images: a served model of which a file is lost, an old one, two images."""

import json
from typing import Any

from caches import DIGEST, NEW, A, B, container, image
from cli_fakes import Cli
from documents import check_document, own

from sparkctl.facts.probe import Answer

CACHE = "/home/spark/.cache/huggingface"
BLOB, LOST, DATA = "1" * 40, "2" * 40, "file=70 models--org--old/blobs/x\n"
LISTING = f"""\
present=yes
file=100 models--org--tiny/blobs/{BLOB}
link=models--org--tiny/snapshots/{NEW}/config.json\t../../blobs/{BLOB}
link=models--org--tiny/snapshots/{NEW}/lost.json\t../../blobs/{LOST}
ref=models--org--tiny/refs/main\t{NEW}
"""
MARKER = f'marker=models--org--tiny@main.json\t{{"commit": "{NEW}", "files": [["config.json", 100]], "ours": true}}\n'
OURS = 'marker=models--org--old@main.json\t{"commit": "", "files": [], "ours": true}\n'
PROFILE = """\
name: mine
nodes: 2
image: {ref: "registry.example/vllm:1"}
model: {id: org/tiny}
"""
USING = {"mounts": [CACHE], "cluster": "demo", "words": ["serve", "org/tiny"], "image": A}


def with_models(cli: Cli) -> Cli:
    """A profile that serves one of the models; a test file makes its fixture of it."""
    (cli.folder / "profiles").mkdir()
    (cli.folder / "profiles/mine.yaml").write_text(PROFILE)
    cli.patch.setenv("SPARKCTL_PROFILE", "mine")
    answering(cli)
    return cli


def answering(cli: Cli, **changes: str) -> None:
    """Both nodes say the same: a served model of which a file is lost, an old one, two images."""
    config = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config |= {"intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 2048}
    said = {
        "hub-cache": LISTING + DATA,
        "model-ledger": MARKER + OURS,
        "users": container("api", **USING),
        "images": json.dumps(
            [image(A, "registry.example/vllm:1", digests=(f"registry.example/vllm@{DIGEST}",)), image(B)]
        ),
        "images-brought": f"{A}\n{B}\n",
        "model-configs": f"\n@config={NEW}\n{json.dumps(config)}",
        "hub-head": json.dumps({"commit": NEW}),
        "tag": json.dumps({"Descriptor": {"digest": DIGEST}}),
        "dockerd": "",
        **changes,
    }
    for host in cli.hosts.values():
        host.probes = lambda name: Answer(said.get(name.partition(":")[0], ""))


def complete(cli: Cli, *argv: str) -> dict[str, Any]:
    """The document of a command, which has every member that the page names for it."""
    cli(*argv, "--json")
    document = cli.document
    schema, places = check_document(document)
    assert own(schema).keys() - places <= {"unread[]", "mounted.*", "cut[]"}, own(schema).keys() - places
    return document
