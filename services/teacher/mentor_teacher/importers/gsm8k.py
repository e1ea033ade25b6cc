"""GSM8K with its calculator annotations: ``<<48/2=24>>`` as calls of the 12 math tools, executed and checked.

Each annotation becomes a turn (a nested expression several, one a level), the last turn the answer. Arithmetic that a line has
without annotating it (``48 + 30 = 78 pounds``) becomes calls too, where the tools agree with it. A row is rejected if an
annotation is no arithmetic, its result is not what the tools return, or the last call did not return the answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mentor.grading.numbers import number
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Question, Termination, Trajectory, Turn
from mentor_teacher.calculator import Executed, Number, execute
from mentor_teacher.importers import Imported
from mentor_teacher.reading import Row, read_rows, take_options, text_of

_NUMBER = r"(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_ANNOTATION = re.compile(r"<<([^<>=]*)=([^<>]*)>>")
_END = re.compile(r"\s*####\s*(.+?)\s*\Z")
_EQUATION = re.compile(rf"([^=<>]+)=\s*\$?\s*(-?{_NUMBER})")
_UNITS = re.compile(r"/?\s*[A-Za-z][A-Za-z'’.]*")
_SIGNS = str.maketrans({"–": "-", "−": "-", "×": "*", "÷": "/", "$": " "})
_OPERATIONS = re.compile(rf"\(*\s*{_NUMBER}%?(?:[\s()]*[-+*/][\s()]*{_NUMBER}%?)+[\s)]*$")
MODEL = "gsm8k"


class _Step(NamedTuple):
    """A computation in a line: its calls go where the text up to ``start`` has been said, which goes on at ``end``."""

    start: int
    end: int
    value: Number
    levels: list[Executed]


class _GSM8K:
    name = "gsm8k"
    summary = "GSM8K: its calculator annotations as executed and checked calls of the math tools"

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        take_options(options, ())
        questions, traces, rejected = read_rows(path, _read)
        return Imported(questions=tuple(questions), trajectories=tuple(traces), rejected=tuple(rejected))


def _read(row: Row, name: str) -> tuple[Question, Trajectory]:
    asked = text_of(row, "question")
    solution = str(row.get("solution") or text_of(row, "answer"))
    end = _END.search(solution)
    if end is None:
        raise ValueError("the solution has no line after ####")
    answer = end.group(1).replace(",", "").replace("$", "")
    turns, last = _turns(solution[: end.start()])
    if last is None:
        raise ValueError("the solution computes nothing")
    if not _equal(last, answer):
        raise ValueError(f"the last result {last} is not the answer {answer}")
    final = Turn(text=f"So the answer is \\boxed{{{answer}}}.")
    question = Question(id=name, question=asked, answers=(answer,), data_source="gsm8k")
    return question, Trajectory(
        question_id=name, question=asked, turns=(*turns, final), termination=Termination.ANSWERED, answer=answer,
        model=MODEL, mode="chat", metadata={CORRECT: True},
    )  # fmt: skip


def _turns(solution: str) -> tuple[list[Turn], Number | None]:
    """Turns with their calls executed, and the last result."""
    turns: list[Turn] = []
    last: Number | None = None
    spoken = ""
    for line in filter(None, (line.strip() for line in solution.split("\n"))):
        position = 0
        for step in _steps(line):
            spoken = f"{spoken} {line[position : step.start]}".strip()
            position, last = step.end, step.value
            for level in step.levels:
                turns.append(Turn(text=spoken, tool_calls=tuple(level.calls), observations=tuple(level.observations)))
                spoken = ""
        spoken = f"{spoken} {line[position:]}".strip()
    return turns, last


def _steps(line: str) -> list[_Step]:
    """What a line computes: its annotations, and after the last of them the equations that it spells out."""
    steps = []
    for found in _ANNOTATION.finditer(line):
        value, levels = execute(found.group(1))
        if not _equal(value, found.group(2)):
            raise ValueError(f"{found.group(0)} is {value}")
        steps.append(_Step(found.start(), found.end(), value, levels))
    rest = steps[-1].end if steps else 0
    return steps + [step for found in _EQUATION.finditer(line, rest) if (step := _spelt_out(found)) is not None]


def _spelt_out(found: re.Match[str]) -> _Step | None:
    """An equation between numbers, units left out; None where it is none, or the tools do not agree with it."""
    left = re.sub(r"(?<=[\d)\s])x(?=[\d(\s])", "*", found.group(1))
    operations = _OPERATIONS.search(_UNITS.sub(" ", left).translate(_SIGNS).rstrip())
    if operations is None:
        return None
    try:
        value, levels = execute(operations.group(0))
    except ValueError:
        return None
    agreed = _equal(value, found.group(2).replace(",", ""))
    return _Step(found.start(2), found.start(2), value, levels) if agreed else None


def _equal(value: Number, written: str) -> bool:
    """Equal to what is written, in the digits that are written: the annotations round."""
    text = written.strip().replace("$", "").replace("%", "")
    known = number(text)
    if known is None:
        return False
    places = len(text.rpartition(".")[2]) if "." in text else None
    return math.isclose(value, float(known), rel_tol=1e-9, abs_tol=1e-9 if places is None else 0.5 * 10**-places)


PLUGIN = _GSM8K()
