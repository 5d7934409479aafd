"""The process that reads one document: bytes on standard input, passages as JSON on standard output.

It is a process of its own, with little memory and time, because PDFs and pages of strangers may be made to use all.
"""

import json
import resource
import sys
from dataclasses import asdict

from sparkctl.agents.core.failure import Refused
from sparkctl.agents.rag.formats import READERS
from sparkctl.agents.rag.passages import Passage

MEMORY_BYTES = 1536 * 2**20
CPU_SECONDS = 60
MOST_CHARACTERS = 8_000_000
"""Of one document, with its headings at each of their passages: a book has about a million."""
OF_A_PASSAGE = 80
"""Characters that each passage counts for beside its own, so that their number has an end, too."""


def read(content: bytes, kind: str) -> list[Passage]:
    """The passages of a document. Raises Refused, and for broken PDFs whatever pypdf raises."""
    passages = READERS[kind](content)
    if not passages:
        raise Refused("there is no text in the document; pictures of text are not read")
    if sum(len(one.text) + len(one.heading) + OF_A_PASSAGE for one in passages) > MOST_CHARACTERS:
        raise Refused(f"the document has more than {MOST_CHARACTERS} characters of text")
    return passages


def main() -> None:
    """Read what stands on standard input as the format that is named by the first argument."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        answer: object = [asdict(one) for one in read(sys.stdin.buffer.read(), sys.argv[1])]
    except Refused as error:
        answer = error.message
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
