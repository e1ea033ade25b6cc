"""``python -m deploy.dashboards [--check]``: write the dashboards, or fail if what is written is not what the code says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.dashboards import services, system, work
from deploy.dashboards.parts import Board

FOLDER = Path(__file__).resolve().parents[1] / "grafana" / "dashboards"
BOARDS: tuple[Board, ...] = (*system.BOARDS, *services.BOARDS, *work.BOARDS)


def rendered() -> dict[str, str]:
    """JSON by file name."""
    return {
        f"{board.name}.json": JSONEncoder(sort_keys=True, indent=1).encode(board.build().build()) + "\n"
        for board in BOARDS
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wanted = rendered()
    if check:
        found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
        stale = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        print(
            f"stale: {', '.join(stale)} (run `make dashboards`)" if stale else f"{len(wanted)} dashboards are current"
        )
        return int(bool(stale))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
