"""Runs hostile cases against a service and judges what came of them."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.hostile.case import BREACHED, Answer, Case

PROBE = """
import builtins, decimal, gc, json, math, os, signal, sys, threading
@NUMPY@
found = []
def check(name, fine):
    if not fine: found.append(name)
check('builtins', not hasattr(builtins, 'hostile') and len([1]) == 1 and type(builtins.print) is type(len))
check('json', json.loads(json.dumps({'a': [1]})) == {'a': [1]} and not hasattr(json, 'hostile'))
check('math', math.sqrt(16) == 4)
check('integers', sum([3, 4]) == 7 and str(6 + 1) == '7')
check('modules', 'hostile' not in sys.modules)
check('path', '.' not in sys.path and all(type(p) is str for p in sys.path))
known = ('zipimporter', 'FileFinder', '_EditableNamespaceFinder')  # Python's own, and those of a checkout
check('hooks', not any('F' == type(h).__name__ for h in sys.meta_path)
      and all(any(name in repr(h) for name in known) for h in sys.path_hooks))
check('tracing', sys.gettrace() is None and sys.getprofile() is None)
check('recursion', sys.getrecursionlimit() == 1000)
check('gc', gc.isenabled())
check('decimal', decimal.getcontext().prec == 28)
check('threads', threading.active_count() == 1)
check('timer', signal.getitimer(signal.ITIMER_REAL)[0] == 0)
check('environment', 'PYTHONSTARTUP' not in os.environ and 'LD_PRELOAD' not in os.environ)
check('files', not [n for n in os.listdir('.') if n not in ('main.py', 'tmp')])
for name in ('was-here', 'link', 'renamed', 'pickle'):
    check(name, not os.path.exists(f'/tmp/hostile-{name}'))
result = 'stains: ' + ', '.join(found) + '.'
print(result)
"""
_NUMPY = "import numpy\nassert numpy.sum([1, 2]) == 3 and numpy.geterr()['divide'] == 'warn'"
_STAINS = re.compile(r"stains: (.*)\.")
VICTIM = """
import time
canary = 'canary-' + 'victim-@SECRET@'
open('secret-of-victim', 'w').write(canary)
time.sleep(@SECONDS@)
"""


@dataclass(frozen=True)
class Canaries:
    """Secrets that no call may learn, and where they are as the service sees it."""

    directory: str
    server_pid: int
    environment: str = field(default_factory=lambda: f"canary-environment-{secrets.token_hex(8)}")
    file: str = field(default_factory=lambda: f"canary-file-{secrets.token_hex(8)}")
    victim: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def path(self) -> str:
        """Of the secret file."""
        return f"{self.directory}/canary.txt"

    def placed(self, code: str) -> str:
        """A case's code with the places of the secrets."""
        placed = code.replace("@CANARY_FILE@", self.path).replace("@CANARY_DIR@", self.directory)
        return placed.replace("@SERVER_PID@", str(self.server_pid))

    def leaked(self, text: str) -> str | None:
        """The secret that a text holds."""
        secret = (self.environment, self.file, f"canary-victim-{self.victim}")
        return next((canary for canary in secret if canary in text), None)

    def victim_code(self, seconds: float) -> str:
        """A call with a secret in its memory and its directory."""
        return VICTIM.replace("@SECRET@", self.victim).replace("@SECONDS@", str(seconds))


PROBE_CASE = Case("probe", "probe", "", limit_s=10.0)


class Target(Protocol):
    """A service under attack."""

    name: str
    lane: str
    coarse: bool
    """Whether its statuses tell no more than ok, error and timeout."""

    def takes(self, case: Case) -> bool:
        """Whether the case makes sense here."""
        ...

    async def run(self, case: Case, code: str) -> Answer:
        """Run a case. A service that does not answer is a ``down``."""
        ...

    def restart(self) -> None:
        """Start a peer anew."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of one case: ``problems`` is empty if all is well."""

    case: Case
    answer: Answer
    problems: tuple[str, ...]


async def attack(target: Target, cases: Sequence[Case], canaries: Canaries, concurrency: int) -> list[Outcome]:
    """Run all cases that the target takes, each followed by a harmless call that looks for what it left.

    What that call has found in a peer before (its own threads and files, the stains of earlier cases) is not held against
    the next cases, and a peer in which it does not run any more is started anew. Peers are attacked one case at a time.
    """
    room = asyncio.Semaphore(concurrency)
    known: set[str] = set(_stains(await target.run(PROBE_CASE, _probe("numpy"))) or ()) if target.coarse else set()

    async def one(case: Case) -> Outcome:
        async with room:
            answer = await target.run(case, canaries.placed(case.code))
            after = await target.run(PROBE_CASE, _probe(case.code))
            outcome = Outcome(case, answer, tuple(_problems(case, answer, after, known, target, canaries)))
            if target.coarse:
                known.update(_stains(after) or ())
                if _stains(after) is None:
                    target.restart()
            return outcome

    return list(await asyncio.gather(*(one(case) for case in cases if target.takes(case))))


def _probe(code: str) -> str:
    return PROBE.replace("@NUMPY@", _NUMPY if "numpy" in code else "")


def _stains(answer: Answer) -> frozenset[str] | None:
    """What a probe found; None if it did not get to its end."""
    found = _STAINS.search(answer.printed)
    return None if found is None else frozenset(filter(None, found.group(1).split(", ")))


def _problems(
    case: Case, answer: Answer, after: Answer, known: set[str], target: Target, canaries: Canaries
) -> list[str]:
    found = []
    if (secret := canaries.leaked(answer.text)) is not None:
        found.append(f"leaked {secret}")
    if BREACHED in answer.printed:
        found.append("breached")
    if not _right(case, answer, target):
        found.append(f"{answer.status}, not {' or '.join(case.right(target.lane))}")
    if down := [given.text[:200] for given in (answer, after) if given.status == "down"]:
        found.append(f"down: {down[0]}")
    elif (stains := _stains(after)) is None or stains - known:
        found.append(f"left: {after.status} {after.printed[:200]}")
    return found


def _right(case: Case, answer: Answer, target: Target) -> bool:
    right = case.right(target.lane)
    if not target.coarse:
        return answer.status in right
    return _coarse(answer.status) in {_coarse(status) for status in right}


def _coarse(status: str) -> str:
    return status if status in ("ok", "timeout", "down") else "error"
