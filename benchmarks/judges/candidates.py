"""The judges that are compared: each takes a pair and says right, wrong, or None for a time-out."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Callable

from benchmarks.judges.labelled import Pair
from mentor.chat.answer import extract_boxed
from mentor.grading import MathJudge, grade_qa
from mentor.grading.judge import Method
from mentor.grading.response import final_answer_of_text

Say = Callable[[Pair], bool | None]
_PATIENCE_S = 15.0


def answer_of(pair: Pair) -> str | None:
    """What our extraction finds."""
    return (
        pair.text
        if pair.form == "answer"
        else final_answer_of_text(pair.text, "math" if pair.kind == "math" else "text")
    )


def by_judge(judge: MathJudge, method: Method = "math") -> Say:
    """Ours: the extraction, then the judge."""

    def say(pair: Pair) -> bool | None:
        grade = judge.grade(answer_of(pair), pair.gold, method)
        return None if grade.reason == "timeout" else grade.correct

    return say


def by_string(pair: Pair) -> bool:
    """The last box (the text, where there is none), character for character."""
    return _last_box(pair).strip() in pair.gold


def by_qa(measure: str) -> Say:
    """One of FlashRAG's measures after our extraction."""
    return lambda pair: getattr(grade_qa(answer_of(pair), pair.gold), measure) == 1


def by_qa_raw(measure: str) -> Say:
    """The same on the whole response, as published scripts take it."""
    return lambda pair: getattr(grade_qa(pair.text, pair.gold), measure) == 1


class Plain:
    """math-verify as it comes; ``last_box`` hands it the last box alone."""

    def __init__(self, last_box: bool) -> None:
        self._last_box = last_box
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, pair: Pair) -> bool | None:
        if self._process is None:
            command = [sys.executable, "-m", "benchmarks.judges.plain"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        text = f"${_last_box(pair)}$" if self._last_box or pair.form == "answer" else pair.text
        process.stdin.write(json.dumps({"text": text, "gold": pair.gold}) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], _PATIENCE_S)[0]:
            self.close()
            return None
        return bool(json.loads(process.stdout.readline() or "false"))

    def close(self) -> None:
        """End its process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _last_box(pair: Pair) -> str:
    return extract_boxed(pair.text) or pair.text
