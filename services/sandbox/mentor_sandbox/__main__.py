"""``python -m mentor_sandbox``: run the sandbox alone."""

from __future__ import annotations

import sys

from mentor.serving import main
from mentor_sandbox.app import build
from mentor_sandbox.settings import SandboxSettings

if __name__ == "__main__":
    sys.exit(main("sandbox", SandboxSettings, build))
