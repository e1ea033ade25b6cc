"""What the self-test of a machine with a GPU asks of torch and the local engine: ``python -m mentor.inference.local.selftest``.

Each check prints one JSON object and ends, so that whatever memory it took of the device goes with its process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import torch

from mentor.errors import MentorError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.engine import LocalEngine
from mentor.inference.local.weights import load_tokenizer

PROMPTS = tuple(f"Anna has {n} red eggs and finds {n + 3} more. How many eggs are there?" for n in range(2, 10))
TOKENS = 32


def facts(device: str) -> dict[str, Any]:
    """The device as torch sees it; ``missing`` where it sees none."""
    if device == "cpu":
        return {"device": "cpu", "torch": torch.__version__, "threads": torch.get_num_threads()}
    if not torch.cuda.is_available():
        return {"missing": f"torch {torch.__version__} sees no GPU (its build is for CUDA {torch.version.cuda})"}
    properties = torch.cuda.get_device_properties(device)
    return {
        "device": properties.name, "torch": torch.__version__, "cuda": torch.version.cuda,
        "capability": f"{properties.major}.{properties.minor}", "memory_gib": round(properties.total_memory / 2**30, 1),
        "bf16": torch.cuda.is_bf16_supported(),
    }  # fmt: skip


def prompts(model: Path) -> list[list[int]]:
    """Token ids of the prompts that every engine is asked."""
    tokenizer: Any = load_tokenizer(model)
    return [list(tokenizer.encode(text)) for text in PROMPTS]


async def greedy(model: Path, device: str) -> list[Generation]:
    """What the local engine says on a device, without chance."""
    engine = LocalEngine(model, device=device)
    params = SamplingParams(temperature=0, max_tokens=TOKENS)
    try:
        return list(await asyncio.gather(*(engine.generate(ids, params) for ids in prompts(model))))
    finally:
        await engine.close()


def compare(model: Path, device: str) -> dict[str, Any]:
    """Greedy tokens and log-probabilities on the device beside the CPU's, and what is left of the device's memory."""
    ours, theirs = (asyncio.run(greedy(model, place)) for place in ("cpu", device))
    gaps = [
        abs(a - b)
        for one, other in zip(ours, theirs, strict=True)
        for a, b in zip(one.logprobs or (), other.logprobs or (), strict=False)
    ]
    left = 0
    if device != "cpu":
        torch.cuda.empty_cache()
        left = torch.cuda.memory_allocated(device)
    same = sum(one.token_ids == other.token_ids for one, other in zip(ours, theirs, strict=True))
    return {"prompts": len(ours), "same": same, "largest_gap": max(gaps, default=0.0), "bytes_left": left}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=("facts", "engine", "tokens"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    try:
        if options.check == "facts":
            found: dict[str, Any] = facts(options.device)
        elif options.check == "engine":
            found = compare(options.model, options.device)
        else:
            said = asyncio.run(greedy(options.model, options.device))
            found = {"prompts": prompts(options.model), "tokens": [generation.token_ids for generation in said]}
    except MentorError as error:
        found = {"error": error.message}
    print(json.dumps(found))
    return 1 if "error" in found else 0


if __name__ == "__main__":
    sys.exit(main())
