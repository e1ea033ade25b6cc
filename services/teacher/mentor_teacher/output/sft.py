"""Supervised fine-tuning: every reference's whole conversation.

``sft`` is structured: messages with tool calls, and the tools, as TRL and chat templates take them. ``sft_text`` has the
same with tools, calls and results written out as Hermes text, for trainers that take role and content alone, as verl's
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mentor.data.fates import KEPT, fate
from mentor.rollout.variants import as_asked
from mentor.trajectory import Question, Trajectory
from mentor_teacher.output.layout import SFT, SFT_TEXT, named
from mentor_teacher.output.messages import Writer
from mentor_teacher.output.tables import MESSAGES, NUMBER, TEXT, TEXTS, TOOLS, lines, table
from mentor_teacher.select import PASS_RATE

_FACTS = {"id": TEXT, "answer": TEXT, "model": TEXT, "pass_rate": NUMBER}


def write_sft(
    questions: Sequence[Question],
    trajectories: dict[str, list[Trajectory]],
    out: Path,
    writer: Writer,
    split: str | None = None,
    splits: Sequence[str] = (),
) -> list[Path]:
    """Write one split's files; returns them.

    Args:
        trajectories: by question; those that were kept are written.
    """
    kept = ((q, t) for q in questions for t in trajectories.get(q.id, ()) if fate(t) == KEPT)
    files = [
        out / named(kind, split, splits, suffix)
        for kind, suffix in ((SFT, ".jsonl"), (SFT, ".parquet"), (SFT_TEXT, ".parquet"))
    ]
    with (
        lines(files[0]) as add_line,
        table(files[1], {**_FACTS, "messages": MESSAGES, "tools": TOOLS}) as add_row,
        table(files[2], {**_FACTS, "messages": TEXTS}) as add_text,
    ):
        for question, trajectory in kept:
            facts = {
                "id": f"{question.id}/{trajectory.sample}", "answer": trajectory.answer, "model": trajectory.model,
                "pass_rate": question.metadata.get(PASS_RATE),
            }  # fmt: skip
            asked = as_asked(question, trajectory)
            said = [*writer.opening(asked), *writer.response(trajectory)]
            row = {**facts, "messages": said, "tools": writer.tools(asked)}
            add_line(row)
            add_row(row)
            written = [*writer.opening_text(asked), *writer.response_text(trajectory)]
            add_text({**facts, "messages": written})
    return files
