"""``python -m deploy.gpus 8``: write a machine's set of devices into .env, and refuse sets that collide.

``--check`` only looks at what .env says.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from deploy.gpus.plan import KEYS, PRESETS, ROOT, merged, mistakes, read


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0, or 1 with a line for each mistake."""
    parser = argparse.ArgumentParser(prog="python -m deploy.gpus", description=__doc__)
    parser.add_argument("gpus", nargs="?", type=int, choices=sorted(PRESETS), help="GPUs of this machine")
    parser.add_argument("--check", action="store_true", help="look at .env, write nothing")
    parser.add_argument("--file", type=Path, default=ROOT / ".env")
    args = parser.parse_args(argv)
    if args.gpus is None and not args.check:
        parser.error(f"how many GPUs? {', '.join(map(str, sorted(PRESETS)))}; or --check")
    if not args.file.exists():
        shutil.copy(ROOT / ".env.example", args.file)
    text = args.file.read_text()
    if args.gpus is not None and not args.check:
        text = merged(text, read(PRESETS[args.gpus].read_text()))
        args.file.write_text(text)
    found = mistakes(read(text))
    for line in found:
        print(f"{args.file}: {line}", file=sys.stderr)
    if not found:
        print("\n".join(f"{key}={value}" for key, value in read(text).items() if key in KEYS))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
