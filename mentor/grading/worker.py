"""Worker process of the math judge: one JSON request a line in, one verdict a line out.

Started as ``python -m mentor.grading.worker``. Its address space is limited, because an answer such as a tower of powers
can eat memory faster than the deadline comes.
"""

from __future__ import annotations

import json
import os
import resource
import sys

from mentor.grading.equivalence import equivalent

MEMORY_BYTES = 2 << 30


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.set_int_max_str_digits(5000)
    # The verdicts have standard output to themselves: anything a library prints goes to standard error.
    verdicts = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    equivalent("1", "1")  # import and warm the parser before the first deadline runs
    verdicts.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            correct, reason = equivalent(request["prediction"], request["gold"])
        except (Exception, RecursionError) as error:  # any answer at all may come; none may end the worker
            correct, reason = False, f"error: {type(error).__name__}"
        verdicts.write(json.dumps({"correct": correct, "reason": reason}) + "\n")


if __name__ == "__main__":
    main()
