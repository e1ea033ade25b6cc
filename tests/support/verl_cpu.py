"""Import this before anything of verl: it loads the trainer's plugin, for the CPU, as verl's own processes do."""

from __future__ import annotations

import os

os.environ["VERL_PLATFORM"] = "cpu"

from mentor_trainer.verl_ext import plugin  # noqa: F401
