"""``python -m mentor.cli`` and the ``mentor`` command."""

from __future__ import annotations

from mentor.cli.app import app

if __name__ == "__main__":
    app(prog_name="mentor")
