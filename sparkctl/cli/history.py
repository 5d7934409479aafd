"""history: the generations of what serves."""

from sparkctl.cli.common import Options, load_config, new_app, open_session, with_options

app = new_app()


@app.command()
@with_options
def history(options: Options) -> int:
    """Show what served when, who changed it, what was changed, and how it ended; the newest first.

    The history lies on the head: every admin sees the same. The last twenty that served are kept, and as many
    that failed.
    """
    from sparkctl.core.plan import gather
    from sparkctl.facts.kept import history_probe, kept_probe
    from sparkctl.facts.probe import Want
    from sparkctl.report.history import history_data, show_history

    screen, config = options.screen("history"), load_config(options)
    cluster, head = config.cluster, config.cluster.head
    with open_session(config, head, options) as session:
        probes = (history_probe(cluster), kept_probe(cluster))
        facts = gather({head.name: session}, [Want(head.name, probe) for probe in probes])
    found, kept = facts.get(head.name, probes[0]), facts.get(head.name, probes[1])
    screen.put(cluster=cluster.name, generations=history_data(found, kept))
    screen.show(show_history(found, kept, screen.glyphs))
    if not found:
        screen.tell(f"nothing has served on {cluster.name} yet")
    screen.finish()
    return 0
