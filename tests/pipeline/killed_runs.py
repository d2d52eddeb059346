"""Runs on the server whose address is given, each in a process of its own, which prints its number and id.

`python killed_runs.py ADDRESS COUNT`
"""

import os
import sys

from fusion_magic import fuse


def look(city: str) -> str:
    """Looks a city up."""
    return f"{city} is a city."


def run(address: str, number: int) -> None:
    models = [f"{name}@{address}" for name in "abc"]
    judge, writer = f"judge@{address}", f"writer@{address}"
    fuse(f"Question {number}?", models=models, tools=[look], judge=judge, synthesizer=writer)


if __name__ == "__main__":
    address, count = sys.argv[1], int(sys.argv[2])
    for number in range(count):
        child = os.fork()  # before anything runs: neither loop nor store is there yet
        if not child:
            run(address, number)
            os._exit(0)
        print(number, child, flush=True)
    for _ in range(count):
        os.wait()
