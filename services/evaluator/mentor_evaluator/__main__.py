"""``python -m mentor_evaluator``: run the service."""

from __future__ import annotations

import sys

from mentor.serving import main
from mentor_evaluator.app import EvaluatorSettings, build

if __name__ == "__main__":
    sys.exit(main("evaluator", EvaluatorSettings, build))
