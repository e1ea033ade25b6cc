"""``python -m mentor_trainer``: run the service."""

from __future__ import annotations

import sys

from mentor.serving import main
from mentor_trainer.app import TrainerSettings, build

if __name__ == "__main__":
    sys.exit(main("trainer", TrainerSettings, build))
