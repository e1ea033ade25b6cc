"""The process of the method: one checkpoint that is the student."""

import shutil
import sys
from pathlib import Path

from mentor_trainer import checkpoints

model, folder = sys.argv[1:]
target = Path(folder) / "global_step_1"
shutil.copytree(model, target / "actor" / "huggingface")
checkpoints.commit(target, 1)
