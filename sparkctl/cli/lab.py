"""lab: simulated Sparks on this machine, to try sparkctl on, to test it against and to break."""

from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import JsonOption, QuietOption, new_app, none_of

if TYPE_CHECKING:
    from sparkctl.lab.driver import NodeStatus
    from sparkctl.lab.lifecycle import LabStatus
    from sparkctl.lab.progress import Report
    from sparkctl.report.screen import Screen

app = new_app(no_args_is_help=True, help="Build simulated Sparks on this machine to try sparkctl on.")

DEFAULT = "sparklab"


def complete_labs() -> list[str]:
    """The labs that this machine remembers."""
    from sparkctl.lab import home

    return home.names()


def complete_machines(ctx: typer.Context) -> list[str]:
    """The machines of the lab that the command line names so far."""
    from sparkctl.errors import SparkctlError
    from sparkctl.lab import home

    try:
        lab = home.read(ctx.params.get("name") or DEFAULT)
    except SparkctlError:
        return []
    return [node.name for node in lab.nodes] if lab is not None else []


def complete_drivers() -> list[str]:
    """What machines can be made of."""
    from sparkctl.lab.driver import DRIVERS

    return list(DRIVERS)


NameOption = Annotated[
    str,
    typer.Option(
        "--name", envvar="SPARKCTL_LAB", metavar="NAME", help="Name of the lab.", autocompletion=complete_labs
    ),
]


@app.command()
def up(
    nodes: Annotated[
        int, typer.Option("--nodes", "-n", metavar="N", help="How many machines, at least: a lab only grows.")
    ] = 2,
    driver: Annotated[
        str,
        typer.Option(
            "--driver",
            metavar="NAME",
            help="container (boots in seconds) or vm (QEMU).",
            autocompletion=complete_drivers,
        ),
    ] = "container",
    name: NameOption = DEFAULT,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Make a lab of simulated Sparks, or what is missing of it.

    The first time takes minutes, for images and downloads; later runs take seconds.
    """
    from sparkctl.lab import lifecycle
    from sparkctl.lab.spec import LabSpec

    screen = _screen("up", json=json, quiet=quiet)
    lab = lifecycle.up(LabSpec(name, nodes, driver), _reporter(screen))
    _show(screen, lifecycle.status(lab.name))
    chosen = "" if lab.name == DEFAULT else f"SPARKCTL_LAB={lab.name} "
    screen.tell(f"next: {chosen}sparkctl up --profile {'lab-vm' if lab.driver == 'vm' else 'lab'}")
    screen.finish()
    return 0


@app.command()
def status(name: NameOption = DEFAULT, json: JsonOption = False) -> int:
    """Show the machines of a lab; exits with 2 when one of them cannot be used."""
    from sparkctl.lab import lifecycle

    screen = _screen("status", json=json)
    now = lifecycle.status(name)
    _show(screen, now)
    screen.finish()
    return 0 if now.ready else 2


@app.command()
def down(
    name: NameOption = DEFAULT,
    images: Annotated[
        bool, typer.Option("--images", help="Remove images, registry and downloads, too, which all labs share.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Remove everything that a lab made on this machine; there may be nothing."""
    from sparkctl.lab import lifecycle

    screen = _screen("down", json=json, quiet=quiet)
    existed = lifecycle.down(name, _reporter(screen), images_too=images)
    screen.put(name=name, existed=existed, images_removed=images)
    screen.finish()
    return 0


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def ssh(
    node: Annotated[
        str,
        typer.Argument(metavar="NODE", help="Host name, such as spark-1.", autocompletion=complete_machines),
    ],
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND]...", help="What to run there.")] = None,
    name: NameOption = DEFAULT,
    json: JsonOption = False,
) -> int:
    """Open a shell on a machine of a lab, or run a command there; options come before NODE."""
    import subprocess

    from sparkctl.lab import lifecycle, login

    lab = lifecycle.find(name)
    known = {machine.name: machine for machine in lab.nodes}
    if node not in known:
        raise none_of("NODE", node, known)
    argv = [*login.ssh_argv(lab, known[node]), *(command or ())]
    if not json:
        return subprocess.run(argv, check=False).returncode
    done = subprocess.run(argv, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    screen = _screen("ssh", json=True)
    screen.put(node=node, rc=done.returncode, stdout=done.stdout, stderr=done.stderr)
    screen.finish()
    return done.returncode


def _screen(verb: str, *, json: bool, quiet: bool = False) -> "Screen":
    from sparkctl.report.screen import Screen

    return Screen(f"lab-{verb}", json, quiet)


def _reporter(screen: "Screen") -> "Report":
    """Progress as plain lines: on standard output, beside JSON on standard error, with --quiet nowhere."""
    from sparkctl.lab.progress import Event

    def report(event: Event) -> None:
        if not screen.quiet:
            typer.echo(str(event), err=screen.json)

    return report


def _show(screen: "Screen", now: "LabStatus") -> None:
    lab = now.lab
    screen.put(
        name=lab.name,
        driver=lab.driver,
        ready=now.ready,
        depot=now.depot,
        env_file=str(lab.env_file),
        key_file=str(lab.key_file),
        known_hosts=str(lab.known_hosts),
        nodes=[_describe(node) for node in now.nodes],
    )
    screen.tell(f"lab {lab.name} ({lab.driver}), depot {now.depot}")
    for machine in now.nodes:
        node = machine.node
        detail = f"  {machine.detail}" if machine.detail else ""
        screen.tell(f"{node.name}  {machine.state}  ssh {node.address}  fabric {node.fabric_ip}{detail}")


def _describe(machine: "NodeStatus") -> dict[str, str]:
    node = machine.node
    return {
        "name": node.name,
        "address": node.address,
        "fabric_ip": node.fabric_ip,
        "state": machine.state,
        "detail": machine.detail,
    }
