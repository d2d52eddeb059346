"""A batch of twenty rows on the server whose address is given, in a process that will be killed."""

import sys

from fusion_magic.batch import map

if __name__ == "__main__":
    models, judge, writer = (f"{name}@{sys.argv[1]}" for name in ("a", "judge", "writer"))
    rows = [f"row {number}" for number in range(20)]
    map(rows, "{x}", models=models, judge=judge, synthesizer=writer, progress=False, concurrency=2)
