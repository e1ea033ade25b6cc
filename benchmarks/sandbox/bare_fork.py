"""The floor: a process warmed like a zygote forks and the child exits at once. Prints CPU milliseconds per fork.

Run with a zygote's environment: ``python -m benchmarks.sandbox.bare_fork KIND FORKS``. Parent and child both count.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import sys

from mentor_sandbox.supervise.processes.kinds import KINDS


def main() -> None:
    """Warm up as the zygote does, fork, print."""
    kind, forks = sys.argv[1], int(sys.argv[2])
    for module in (*KINDS[kind], "mentor_sandbox.zygote.main"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.collect()
    gc.disable()
    gc.freeze()
    before = _cpu_s()
    for _ in range(forks):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    print((_cpu_s() - before) / forks * 1000)


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
