"""``python -m benchmarks.retriever.building``: proofs about building an index of a million passages.

Seeded synthetic passages and vectors (``tests/support/synthetic_encoder.py``), so that what is measured is the builder.

- memory: peak resident memory of a build of ``--passages`` beside one of a tenth of them; the difference must stay below
  ``--slack`` MiB, since nothing may grow with the corpus;
- kill: a build is killed (SIGKILL) at ``--kills`` random points, gone on with each time, and its files must have the
  checksums of a build that was not;
- encode: passages a second with the real encoder (``--backend``), on ``--encode`` passages cut from real ones
  (``MENTOR_BENCH_PASSAGES``), one process for each core.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.retriever import corpus
from benchmarks.retriever.encoder import exported
from tests.support.service_process import environment

_SYNTHETIC = ("--set", "encoder_factory=tests.support.synthetic_encoder:make", "--method", "dense")
_POLL_S = 0.02
_KILLED_AFTER_S = (2.0, 10.0)


def main() -> int:
    """Run the parts; 1 if a proof failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=["memory", "kill", "encode"], help="default: all")
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--encode", type=int, default=20_000)
    parser.add_argument("--backend", default="onnx", choices=["torch", "onnx", "onnx-int8"], help="of the encoder")
    parser.add_argument("--slack", type=float, default=32.0, help="MiB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(".mentor/bench-retriever"))
    parser.add_argument("--output", type=Path, help="folder for building.json")
    chosen = parser.parse_args()
    work = chosen.work.resolve()
    parts = chosen.part or ["memory", "kill", "encode"]
    found: dict[str, object] = {"passages": chosen.passages, "seed": chosen.seed}
    failed: list[str] = []
    if "memory" in parts:
        failed += _memory(work, chosen.passages, chosen.slack, found)
    if "kill" in parts:
        failed += _kill(work, chosen.passages, chosen.kills, chosen.seed, found)
    if "encode" in parts:
        _encode(work, chosen.encode, chosen.backend, found)
    print(json.dumps(found, indent=1))
    if chosen.output:
        chosen.output.mkdir(parents=True, exist_ok=True)
        (chosen.output / "building.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for reason in failed:
        print(f"failed: {reason}", file=sys.stderr)
    return 1 if failed else 0


def _memory(work: Path, passages: int, slack: float, found: dict[str, object]) -> list[str]:
    small, large = (_peak(work, size) for size in (passages // 10, passages))
    found |= {"peak_mib_at_a_tenth": small, "peak_mib": large}
    return [] if large - small <= slack else [f"memory grew with the corpus: {small:.0f} MiB, then {large:.0f} MiB"]


def _peak(work: Path, size: int) -> float:
    """Peak anonymous memory of a build, MiB, from when it has a journal (before, the machine's bandwidth is measured).

    What is mapped does not count: it is the kernel's to drop.
    """
    made, output = corpus.make(work, size, vectors=False), work / f"built-{size}"
    shutil.rmtree(output, ignore_errors=True)
    process = start_build(made.passages, output)
    peak = 0
    while process.poll() is None:
        try:
            memory = psutil.Process(process.pid).memory_info()
            if (output / "build.json").is_file():
                peak = max(peak, memory.rss - memory.shared)
        except psutil.NoSuchProcess:
            break
        time.sleep(_POLL_S)
    assert process.wait() == 0
    return peak / 2**20


def _kill(work: Path, passages: int, kills: int, seed: int, found: dict[str, object]) -> list[str]:
    made, whole = corpus.make(work, passages, vectors=False), work / f"built-{passages}"
    if not (whole / "manifest.json").is_file():
        assert start_build(made.passages, whole).wait() == 0
    output = work / "killed"
    shutil.rmtree(output, ignore_errors=True)
    chance = random.Random(seed)
    died = 0
    while died < kills:
        process = start_build(made.passages, output)
        try:
            process.wait(chance.uniform(*_KILLED_AFTER_S))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            died += 1
            continue
        break
    if not (output / "manifest.json").is_file():
        assert start_build(made.passages, output).wait() == 0
    found["killed"] = died
    same = _files(whole) == _files(output)
    shutil.rmtree(output)
    return (
        []
        if same and died
        else ["a build that was killed and gone on with has other bytes" if died else "no kill came in time"]
    )


def _files(folder: Path) -> object:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]


def _encode(work: Path, count: int, backend: str, found: dict[str, object]) -> None:
    made, output = corpus.make(work, count, vectors=False), work / "encoded"
    shutil.rmtree(output, ignore_errors=True)
    began = time.monotonic()
    devices = ",".join(["cpu"] * (os.cpu_count() or 1))
    chosen = ("--set", f"encoder_backend={backend}", "--devices", devices)
    command = ("--method", "dense", "--model", str(exported(work)), *chosen)
    assert start_build(made.passages, output, *command).wait() == 0
    found |= {"encoder_backend": backend, "encoded_passages": count}
    found["encoded_per_s"] = round(count / (time.monotonic() - began), 1)
    shutil.rmtree(output)


def start_build(passages: Path, output: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "mentor_retriever.tools",
        "build",
        "--corpus",
        str(passages),
        "--output",
        str(output),
    ]
    return subprocess.Popen([*command, *(options or _SYNTHETIC)], env=environment(), stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
