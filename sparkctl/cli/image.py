"""image: the engine images on the nodes."""

from typing import TYPE_CHECKING

from sparkctl.cli.common import Options, YesOption, load_config, new_app, open_sessions, with_options
from sparkctl.cli.models import blind, unread, wishes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparkctl.config.load import Config
    from sparkctl.inventory.images import ImageEntry
    from sparkctl.inventory.wishes import Wishes

app = new_app(no_args_is_help=True, help="List, bring and remove the engine images on the nodes.")


@app.command("list")
@with_options
def list_images(options: Options) -> int:
    """List the images of the profiles on the nodes: digest, size, whether all nodes have the same, who uses them."""
    from sparkctl.report.inventory import images_data, show_images

    screen, config = options.screen("image-list"), load_config(options)
    wishes, found = _look(options, config)
    screen.put(cluster=config.cluster.name, unread=list(wishes.unread), images=images_data(found))
    if not screen.json:
        screen.page.write([*show_images(found, len(config.cluster.nodes), screen.glyphs), *unread(wishes)])
    if not found:
        screen.tell("no images; next: sparkctl image pull")
    screen.finish()
    return 0


@app.command()
@with_options
def pull(options: Options) -> int:
    """Bring the images of the profile to the nodes that run them, as `sparkctl up` would."""
    from sparkctl.cli.part import bring
    from sparkctl.stacks.parts import image_steps

    screen, config = options.screen("image-pull"), load_config(options)
    return bring(options, screen, config, image_steps(config), "image pull")


@app.command()
@with_options
def prune(options: Options, yes: YesOption = False) -> int:
    """Remove images that sparkctl brought, that no profile names any more and no container stands on.

    Profiles are the shipped ones and those in ./profiles. Images that others brought are never removed.
    """
    from sparkctl.cli.part import take
    from sparkctl.steps.prune import PruneImages

    screen, config = options.screen("image-prune"), load_config(options)
    wishes = wishes_of(options, config)
    if wishes.unread:
        raise blind(wishes)
    keep = frozenset(wish.image for wish in wishes.all)
    steps = [PruneImages(config.cluster, node, keep) for node in config.cluster.nodes]
    return take(options, screen, config, steps, "image prune", yes=yes)


def _look(options: Options, config: "Config") -> "tuple[Wishes, Sequence[ImageEntry]]":
    """The images of all nodes, in one round trip each."""
    from sparkctl.core.plan import gather
    from sparkctl.inventory import images

    wishes = wishes_of(options, config)
    with options.waiting() as waiting, open_sessions(config, options, waiting.watch) as sessions:
        facts = gather(sessions, images.wants(config.cluster), waiting.watch)
    return wishes, images.take(config.cluster, wishes, facts)
