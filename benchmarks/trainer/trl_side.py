"""TRL's GRPOTrainer on given rollouts, and on its own: ``trl_side.py GIVEN.json ANSWER.json``, for an interpreter with TRL."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main(given: Path, answer: Path) -> None:
    """Both runs."""
    import torch
    import trl

    settings = json.loads(given.read_text())
    torch.set_num_threads(max(1, torch.get_num_threads()))
    replayed, _ = run(settings, replay=True)
    own, lengths = run(settings, replay=False)
    size = len(settings["batches"][0])
    result = {
        "version": trl.__version__,
        "replayed_step": statistics.median(replayed),
        "own_step": statistics.median(own),
        "tokens_per_second": statistics.median(size * n / s for n, s in zip(lengths, own, strict=True)),
    }
    answer.write_text(json.dumps(result))


def run(settings: dict[str, Any], *, replay: bool) -> tuple[list[float], list[float]]:
    """Seconds of every step but the first, and the mean length of what it learnt from."""
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    batches, group = settings["batches"], settings["rollouts"]
    size = len(batches[0])
    prompts = [tokenizer.decode(row["prompt_ids"]) for batch in batches for row in batch[::group]]
    times: list[float] = []
    lengths: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = getattr(self, "ended", time.monotonic())  # drawing comes before the step

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ended = time.monotonic()
            times.append(self.ended - self.started)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "completions/mean_length" in logs:
                lengths.append(logs["completions/mean_length"])

    drawn = iter(batches)

    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        rows = next(drawn)
        return {
            "prompt_ids": [row["prompt_ids"] for row in rows],
            "completion_ids": [row["ids"] for row in rows],
            "logprobs": [[-0.1] * len(row["ids"]) for row in rows],
            "env_mask": [row["mask"] for row in rows],
            "reward": [row["reward"] for row in rows],
        }

    def reward(completions: list[str], **fields: Any) -> list[float]:
        return list(fields["reward"]) if replay else [float(len(text) % 7) for text in completions]

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder, per_device_train_batch_size=size, num_generations=group, max_steps=len(batches), beta=0.0,
            max_completion_length=settings["limit"], temperature=1.0, learning_rate=settings["lr"], use_cpu=True, bf16=False,
            gradient_checkpointing=False, report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True,
            shuffle_dataset=False,
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=settings["model"], args=config, train_dataset=Dataset.from_dict({"prompt": prompts}), reward_funcs=reward,
            processing_class=tokenizer, callbacks=[Clock()], **({"rollout_func": rollout} if replay else {}),
        )  # fmt: skip
        trainer.train()
    return times[1:], lengths[1 : len(times)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
