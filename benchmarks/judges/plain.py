"""math-verify as it comes, in a process of its own: one JSON request a line in, one verdict a line out."""

from __future__ import annotations

import json
import sys

from math_verify import parse, verify


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        try:
            correct = any(bool(verify(parse(f"${gold}$"), parse(request["text"]))) for gold in request["gold"])
        except Exception:  # a judge that fails gives no point
            correct = False
        print(json.dumps(correct), flush=True)


if __name__ == "__main__":
    main()
