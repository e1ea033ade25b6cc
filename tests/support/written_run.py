"""A run's folder made of verdicts: models, suites and arms with known answers, no model asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.data import write_questions, write_text, write_trajectories
from mentor.data.provenance import digest
from mentor.trajectory import Observation, Question, ToolCall, Trajectory, Turn
from mentor_evaluator.matrix.manifest import Manifest, SuiteFacts
from mentor_evaluator.runs import MANIFEST, QUESTIONS, TRAJECTORIES, Run, cell_folder

Verdicts = Mapping[str, Sequence[Sequence[bool]]]
"""By ``MODEL/SUITE/ARM``: by question, by sample."""


def questions(suite: str, number: int) -> list[Question]:
    return [
        Question(id=f"{suite}-{n}", question=f"{n} + {n}?", answers=(str(2 * n),), data_source=suite, tools=("add",))
        for n in range(number)
    ]


def trajectory(question: Question, sample: int, right: bool, tools: bool) -> Trajectory:
    """One sample; with tools a right one calls ``add``, a wrong one calls what does not exist."""
    answer = question.answers[0] if right else "-1"
    name = "add" if right else "sum_up"
    call = ToolCall(name=name, arguments={"a": 1}, id="turn_0_0")
    seen = Observation(name=name, content="2", ok=right, executed=right, call_id="turn_0_0",
                       error_type=None if right else "unknown_tool")  # fmt: skip
    calling = (Turn(text="Let me add.", tool_calls=(call,), observations=(seen,), token_ids=(1, 2)),) if tools else ()
    verdict = {"reason": "equal" if right else "different", "values": {"f1": float(right)}, "seconds": 0.0}
    return Trajectory(
        question_id=question.id, question=question.question, sample=sample, answer=answer, prompt_ids=(1, 2, 3),
        turns=(*calling, Turn(text=f"It is \\boxed{{{answer}}}.", token_ids=(1, 2, 3, 4))), duration_s=0.5 + sample,
        metadata={"correct": right, "verdict": verdict},
    )  # fmt: skip


def write_run(folder: Path, verdicts: Verdicts, **spec: Any) -> Run:
    """The run; ``spec`` replaces fields of its manifest's spec."""
    suites: dict[str, SuiteFacts] = {}
    for key, by_question in verdicts.items():
        _, suite, arm = key.split("/")
        asked = questions(suite, len(by_question))
        drawn = [
            trajectory(question, sample, right, not arm.startswith("no-"))
            for question, samples in zip(asked, by_question, strict=True)
            for sample, right in enumerate(samples)
        ]
        write_questions(asked, cell_folder(folder, key) / QUESTIONS)
        write_trajectories(drawn, cell_folder(folder, key) / TRAJECTORIES)
        suites[suite] = SuiteFacts(
            questions=len(asked), skipped=(), data={}, scorer="math_response", tools={"add": "a" * 64},
            questions_digest=digest([q.model_dump(mode="json") for q in asked]),
        )  # fmt: skip
    models = [{"name": name} for name in dict.fromkeys(key.split("/")[0] for key in verdicts)]
    values = {"models": models, "samples": len(next(iter(verdicts.values()))[0]), "sampling": {"temperature": 0.6, "seed": 0},
              "limits": {}, "strategy": "agent"}  # fmt: skip
    manifest = Manifest(versions={"mentor": "1"}, code="c" * 64, prompt="p", spec=values | spec, suites=suites)
    write_text(folder / MANIFEST, manifest.model_dump_json())
    return Run(folder)
