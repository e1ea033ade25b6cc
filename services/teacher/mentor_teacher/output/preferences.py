"""Preference pairs in TRL's form: ``prompt``, ``chosen``, ``rejected`` as messages, and ``tools``.

``right_wrong``: a right way against one that answered wrongly. ``clean_failing``: a right way in which every call worked
against a right one with failing calls. Nothing that a filter dropped is ever chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mentor.data.fates import KEPT, fate, stayed
from mentor.rollout.solve import CORRECT
from mentor.rollout.variants import as_asked
from mentor.trajectory import Question, Termination, Trajectory
from mentor_teacher.output.layout import PREFERENCES, named
from mentor_teacher.output.messages import Writer
from mentor_teacher.output.tables import MESSAGES, TEXT, TOOLS, lines, table

RIGHT_WRONG, CLEAN_FAILING = "right_wrong", "clean_failing"
MOST = 4
"""Pairs of a kind per question: a question with many wrong samples does not outweigh the others."""
_COLUMNS = {"id": TEXT, "kind": TEXT, "prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES, "tools": TOOLS}
Pair = tuple[str, Trajectory, Trajectory]


def pairs(samples: Sequence[Trajectory], most: int = MOST) -> list[Pair]:
    """Kind, chosen and rejected: the best chosen ones first, each rejected one at most once in a kind."""
    answered = [t for t in samples if t.termination is Termination.ANSWERED and not t.failed]
    right = sorted((t for t in answered if t.metadata.get(CORRECT)), key=lambda t: (fate(t) != KEPT, t.sample))
    chosen = [t for t in right if stayed(t)]
    clean = [t for t in chosen if all(seen.ok for seen in t.observations)]
    wrong = [t for t in answered if not t.metadata.get(CORRECT)]
    failing = [t for t in right if not all(seen.ok for seen in t.observations)]
    return [
        *_paired(RIGHT_WRONG, clean or chosen, wrong, most),
        *_paired(CLEAN_FAILING, [t for t in clean if t.executed_calls], failing, most),
    ]


def _paired(kind: str, chosen: Sequence[Trajectory], rejected: Sequence[Trajectory], most: int) -> list[Pair]:
    if not chosen:
        return []
    return [(kind, chosen[n % len(chosen)], other) for n, other in enumerate(rejected[:most])]


def write_preferences(
    questions: Sequence[Question],
    trajectories: dict[str, list[Trajectory]],
    out: Path,
    writer: Writer,
    split: str | None = None,
    splits: Sequence[str] = (),
) -> list[Path]:
    """Write one split's files; returns them: none where there is no pair."""
    found = [(q, *pair) for q in questions for pair in pairs(trajectories.get(q.id, ()))]
    if not found:
        return []
    files = [out / named(PREFERENCES, split, splits, suffix) for suffix in (".jsonl", ".parquet")]
    with lines(files[0]) as add_line, table(files[1], _COLUMNS) as add_row:
        for question, kind, chosen, rejected in found:
            row = {
                "id": f"{question.id}/{chosen.sample}/{rejected.sample}", "kind": kind,
                "prompt": writer.opening(as_asked(question, chosen)), "chosen": writer.response(chosen),
                "rejected": writer.response(rejected), "tools": writer.tools(question),
            }  # fmt: skip
            add_line(row)
            add_row(row)
    return files
