"""A `map` in the batches of the user's own endpoint, in a process that will be killed."""

from fusion_magic.batch import map

if __name__ == "__main__":
    rows = [f"word{number}" for number in range(20)]
    map(rows, "«{t}»", models="m@half", alone=True, batch=True, progress=False)
