"""In what two runs differ, and what of it makes their accuracies incomparable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mentor.errors import UserError
from mentor_evaluator.comparing.models import Setting
from mentor_evaluator.comparing.sides import Side

MATTERS = ("questions", "prompt", "tools", "sampling", "limits", "strategy", "scorer")
"""What has to be the same, unless it is told otherwise."""


def differences(a: Side, b: Side, suites: Iterable[str]) -> list[Setting]:
    """Every difference between two sides on suites that both have."""
    return [*_of_runs(a, b), *(found for suite in suites for found in _of_suite(a, b, suite))]


def check(found: Sequence[Setting], even_if: Sequence[str]) -> None:
    """Refuse what matters, unless it may differ.

    Raises:
        UserError: naming each difference; or ``even_if`` names what is no part of a manifest.
    """
    unknown = [part for part in even_if if part not in MATTERS]
    if unknown:
        raise UserError(f"unknown part {unknown[0]!r}", field="even_if", allowed=", ".join(MATTERS))
    against = [s for s in found if s.matters and s.part not in even_if]
    if against:
        named = "; ".join(f"{s.part} ({s.where}): {s.a} against {s.b}" for s in against)
        parts = ",".join(dict.fromkeys(s.part for s in against))
        raise UserError(f"the runs differ in what matters: {named}", field="even_if", allowed=f"--even-if {parts}")


def _of_runs(a: Side, b: Side) -> Iterator[Setting]:
    one, two = a.run.manifest, b.run.manifest
    if one.prompt != two.prompt:
        yield _setting("prompt", "run", one.prompt, two.prompt)
    for part in ("sampling", "limits"):
        for name, left, right in _unequal(a.drawn[part], b.drawn[part]):
            yield _setting(part, name, left, right)
    if a.drawn["strategy"] != b.drawn["strategy"]:
        yield _setting("strategy", "run", a.drawn["strategy"], b.drawn["strategy"])
    if one.code != two.code:
        yield _setting("code", "run", one.code[:12], two.code[:12])
    for name, left, right in _unequal(one.versions, two.versions):
        yield _setting("versions", name, left, right)


def _of_suite(a: Side, b: Side, suite: str) -> Iterator[Setting]:
    one, two = a.run.manifest.suites.get(suite), b.run.manifest.suites.get(suite)
    if one is None or two is None:
        yield _setting("questions", suite, "known" if one else "unknown", "known" if two else "unknown")
        return
    if one.questions_digest != two.questions_digest:
        left, right = (f"{facts.questions} questions, {facts.questions_digest[:12]}" for facts in (one, two))
        yield _setting("questions", suite, left, right)
    if one.scorer != two.scorer:
        yield _setting("scorer", suite, one.scorer, two.scorer)
    for name, left, right in _unequal(one.tools, two.tools):
        yield _setting("tools", f"{suite}: {name}", str(left)[:12], str(right)[:12])


def _unequal(a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    if not isinstance(a, dict) or not isinstance(b, dict):
        if a != b:
            yield "all", a, b
        return
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            yield name, a.get(name), b.get(name)


def _setting(part: str, where: str, a: Any, b: Any) -> Setting:
    return Setting(part=part, where=where, a=_text(a), b=_text(b), matters=part in MATTERS)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
