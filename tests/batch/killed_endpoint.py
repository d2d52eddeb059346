"""A `map` in the batches of the user's own endpoint, in a process of its own, which may be killed.

Its arguments are how many rows, how many of them at a time, and how many words more there are in each prompt; with
these it says how many bytes it has after a quarter of the rows, and when the last one has been read.
"""

import sys
from collections.abc import Iterator

from fusion_magic.batch import map


def words(count: int, *, tells: bool) -> Iterator[str]:
    for number in range(count):
        if tells and number == count // 4:
            tell_memory()
        yield f"word{number}"
    if tells:
        tell_memory()


def tell_memory() -> None:
    import psutil

    print(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    rows, at_a_time, more = (int(argument) for argument in sys.argv[1:])
    texts, prompt = words(rows, tells=more > 0), "word " * more + "«{t}»"
    map(texts, prompt, models="m@half", alone=True, batch=True, concurrency=at_a_time, progress=False)
