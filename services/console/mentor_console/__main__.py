"""``python -m mentor_console``: run the console."""

from __future__ import annotations

import sys

from mentor.serving import main
from mentor_console.app import build
from mentor_console.settings import ConsoleSettings

if __name__ == "__main__":
    sys.exit(main("console", ConsoleSettings, build))
