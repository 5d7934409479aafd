"""gpu-stats: what the GPUs do, and who holds them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparkctl.cli.common import Options, load_config, new_app, with_options
from sparkctl.cli.status import reaching
from sparkctl.cli.watching import IntervalOption, Picture, WatchOption, look_again

if TYPE_CHECKING:
    from sparkctl.cli.status import Reach
    from sparkctl.config.load import Config
    from sparkctl.report.gpu_stats import GpuStats
    from sparkctl.transport.crowd import Watch

app = new_app()


@app.command()
@with_options
def gpu_stats(
    options: Options,
    watch: WatchOption = False,
    interval: IntervalOption = 2.0,
) -> int:
    """Show load, heat, power and memory of the GPUs, and which container or role each process is of.

    Exits with 0 when every node answers, 2 when some do not, 4 when none does. One that does not is shown.
    """
    from sparkctl.report.gpu_stats import gpu_stats_data, show_gpu_stats, show_in_one_line

    screen = options.screen("gpu-stats")
    config = load_config(options)

    def picture(waiting: "Watch | None") -> Picture:
        now = read_gpu_stats(config, reach, waiting)
        return Picture(show_gpu_stats(now, screen.glyphs), gpu_stats_data(now), [show_in_one_line(now)])

    with reaching(config, options) as reach:
        if watch:
            return look_again(screen, picture, interval)
        now = read_gpu_stats(config, reach)
    screen.put(**gpu_stats_data(now))
    screen.show(show_gpu_stats(now, screen.glyphs))
    screen.finish()
    return now.exit_code


def read_gpu_stats(config: "Config", reach: "Reach", watch: "Watch | None" = None) -> "GpuStats":
    """One look at every node that answers, one round trip each."""
    from sparkctl.facts.gpu_load import GPU_LOAD
    from sparkctl.facts.probe import Want
    from sparkctl.report.gpu_stats import make_gpu_stats

    cluster = config.cluster
    facts = reach.ask([Want(node.name, GPU_LOAD) for node in cluster.nodes], watch)
    roles = [served.name for served in config.served]
    return make_gpu_stats(cluster, roles, facts, reach.errors, datetime.now(UTC))
