"""The shared benchmark of peers with fusion_magic in its empty slot: `python tests/benchmarks/against_peers.py`.

    against_peers.py reliability                 one fault a run, 18 scenarios; fails on a lost or silently bad answer
    against_peers.py run_peers latency stream    the speed tables; further words go to that script

Needs the shared data folder (FUSION_SHARED, or ../shared beside the checkout). Peers other than ours are measured
where their environments can be made; `--peers raw_httpx,conclave,fusion_magic` names some.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OURS = "fusion_magic"
# The mock counts a call as repeated only if it had not yet finished writing when the client hung up. It writes a
# damaged stream whole before anybody can have read it, so this finding comes however the client behaves.
UNAVOIDABLE = {"W:malformed_chunk_ignored"}


def shared_bench() -> Path:
    """The folder of the benchmark."""
    shared = Path(os.environ.get("FUSION_SHARED") or HERE.parents[2] / "shared")
    if not (shared / "bench" / "kit.py").is_file():
        raise SystemExit("no shared benchmark: set FUSION_SHARED to the folder that has bench/")
    return shared / "bench"


def lay_out(folder: Path, peers: list[str]) -> Path:
    """A copy of the benchmark with our adapter and the environments that the peers need."""
    bench = folder / "bench"
    shutil.copytree(shared_bench(), bench)
    for path in (bench, *bench.rglob("*")):
        path.chmod(0o755)
    shutil.copy(HERE / "peer_adapter.py", bench / "peers" / f"{OURS}.py")
    environments = {"llmock"} | {"main" for peer in peers if peer != OURS}
    for name in sorted(environments):
        home = bench / ".envs" / name
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        wanted = ["-r", bench / "requirements" / f"{name}.txt"]
        subprocess.run([home / "bin" / "pip", "install", "--quiet", *wanted], check=True)
    (bench / ".envs" / OURS).symlink_to(sys.prefix)
    return bench


def faults(bench: Path) -> list[str]:
    """What went wrong in the reliability run, one sentence for each."""
    rows = json.loads((bench / "out" / "reliability.json").read_text("utf-8"))["peers"][OURS]
    found = [f"{len(rows)} of 18 scenarios ran"] if len(rows) != 18 else []
    for title, row in rows.items():
        if row is None or "hung" in row:
            found.append(f"{title}: did not run ({row})")
            continue
        findings = set(row["findings"]) - UNAVOIDABLE
        lost = title != "all panelists 503" and row["kept"] < (2 if "p1" in title else 3)
        bad = row["silent"] or row["final"] in ("CUT", "ERROR TEXT") or row["raised"]
        if findings or lost or bad:
            found.append(f"{title}: {row['final']}, {row['kept']} kept, {row['silent']} silent, {sorted(findings)}")
    return found


def main(script: str = "reliability", *words: str) -> None:
    peers = words[words.index("--peers") + 1].split(",") if "--peers" in words else [OURS]
    words = words if "--peers" in words else (*words, "--peers", OURS)
    with tempfile.TemporaryDirectory() as folder:
        bench = lay_out(Path(folder), peers)
        subprocess.run([sys.executable, bench / f"{script}.py", *words], check=True)
        found = faults(bench) if script == "reliability" else []
    if found:
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
