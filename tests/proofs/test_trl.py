"""TRL trains on what we export, as it reads it: ``make trl-proof``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.unit.test_teacher_datasets import STUDENT, written

TRAIN = """
import json, sys
import torch
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.data_utils import apply_chat_template, is_conversational
folder, student, out = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(student)
common = dict(
    output_dir=out, max_steps=2, per_device_train_batch_size=2, report_to=[], use_cpu=True, bf16=False, save_strategy="no",
    logging_strategy="no", disable_tqdm=True, seed=0,
)
told = {}
for name, Config, Trainer in (("sft", SFTConfig, SFTTrainer), ("preferences", DPOConfig, DPOTrainer)):
    data = load_dataset(folder, name, split="train")
    assert is_conversational(data[0])
    plain = {key: data[0][key] for key in ("messages", "prompt", "chosen", "rejected") if key in data[0]}
    shown = apply_chat_template(plain, tokenizer, tools=data[0]["tools"])
    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    trainer = Trainer(model=model, args=Config(**common), train_dataset=data, processing_class=tokenizer)
    told[name] = {"rows": len(data), "loss": trainer.train().training_loss, "shown": shown}
print(json.dumps(told))
"""


def test_trl_trains_on_conversations_and_pairs(tmp_path: Path) -> None:
    written(tmp_path / "sums")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "sums"), str(STUDENT), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["sft"]["rows"] == 19 and told["preferences"]["rows"] == 38
    assert 0 < told["sft"]["loss"] < 20 and 0 < told["preferences"]["loss"] < 20
    assert '"arguments": {"firstNumber": 0, "secondNumber": 42}' in told["sft"]["shown"]["text"]
    assert (
        "\\boxed{41}" in told["preferences"]["shown"]["rejected"]
        and "# Tools" in told["preferences"]["shown"]["prompt"]
    )
