"""Which image a model means: by the id of an upload, by its number in the message, or by a URL that may be fetched."""

from sparkctl.agents.core.failure import Refused
from sparkctl.agents.core.run import Run
from sparkctl.agents.core.tables import Upload
from sparkctl.agents.images.fetch import Network, fetch
from sparkctl.agents.images.uploads import find, most_bytes, store


async def image_named(run: Run, name: str, network: Network | None = None) -> Upload:
    """An image of the run's user; an empty name is the first of the message, and one at a URL is kept as an upload.

    Raises Refused, Unknown, TooLarge, Unavailable.
    """
    wanted = name.strip()
    if wanted.partition(":")[0].lower() in ("http", "https"):
        fetched = await fetch(wanted, run.platform.document.agents.fetch, most_bytes(run.platform), network)
        return await store(run.platform, run.principal, fetched)
    return await find(run.platform, run.principal, _id(run, wanted))


def _id(run: Run, wanted: str) -> str:
    """Raises Refused."""
    number = int(wanted or 1) if not wanted or (wanted.isascii() and wanted.isdigit() and len(wanted) < 4) else 0
    if not number:
        return wanted
    if number > len(run.images):
        came = f"{len(run.images)} came with this message" if run.images else "none came with this message"
        raise Refused(f"there is no image {number}: {came}. An earlier one is named by its id")
    return run.images[number - 1]
