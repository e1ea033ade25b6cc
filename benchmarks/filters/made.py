"""The made set: clean cases, and beside them cases with one thing planted, each with the name of how it was planted."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.filters import texts
from mentor.trajectory import Frozen, Observation, Question, Termination, ToolCall, Trajectory, Turn
from mentor_teacher.filters import Candidate


class Case(Frozen):
    """A candidate; ``planted``: what is wrong with it, by how it was made, or None where nothing is."""

    candidate: Candidate
    planted: str | None = None
    clean: str = "plain"


class Filtered(Frozen):
    """Cases for one filter, with the options that it runs with."""

    use: dict[str, Any]
    cases: tuple[Case, ...]


class Maker:
    """Draws problems and solutions by a seed."""

    def __init__(self, seed: int, questions: Sequence[Question] = ()) -> None:
        self.rng = random.Random(seed)
        self._given = list(questions)
        self._number = 0

    def question(self, text: str | None = None, **more: Any) -> Question:
        """A problem of the templates, or one of the given questions while there are some."""
        self._number += 1
        name = f"m{self._number}"
        if text is None and self._given:
            return self._given.pop().model_copy(update={"id": name, "references": ()})
        facts = self.facts()
        answer = str(facts["x"] + facts["y"])
        shown = text if text is not None else self.rng.choice(texts.PROBLEMS).format(**facts)
        return Question(id=name, question=shown, answers=(answer,), metadata={"facts": facts}, **more)

    def facts(self) -> dict[str, Any]:
        """Names, things and numbers for a template."""
        a, b = self.rng.sample(texts.NAMES, 2)
        x, y = self.rng.randint(100, 4999), self.rng.randint(100, 4999)
        return {"a": a, "b": b, "t": self.rng.choice(texts.THINGS), "x": x, "y": y}

    def solved(self, question: Question, said: str | None = None, **more: Any) -> Candidate:
        """A question solved by one call, with ``said`` before it."""
        facts, answer = question.metadata.get("facts") or self.facts(), question.answers[0]
        arguments = {"firstNumber": facts["x"], "secondNumber": facts["y"]}
        call = ToolCall(name="add", arguments=arguments, id="call_0")
        observation = more.pop("observation", Observation(name="add", content=answer, call_id="call_0"))
        first = Turn(
            text=said if said is not None else self.rng.choice(texts.SAID),
            tool_calls=(call,),
            observations=(observation,),
        )
        last = Turn(text=more.pop("final", f"The answer is \\boxed{{{answer}}}."))
        fields: dict[str, Any] = {
            "question_id": question.id, "question": question.question, "turns": (first, last), "answer": answer,
            "termination": Termination.ANSWERED, "metadata": {"correct": True}, "mode": "chat",
        }  # fmt: skip
        return Candidate(question=question, trajectory=Trajectory(**(fields | more)))


def made(seed: int, size: int, folder: Path, questions: Sequence[Question] = ()) -> dict[str, Filtered]:
    """Cases by filter, ``size`` planted ones and twice as many clean ones each.

    Args:
        folder: evaluation sets are written here.
        questions: to make them of, in place of templates; 3 times ``size`` for each filter of questions.
    """
    maker = Maker(seed, questions)
    return {
        "near_duplicates": _duplicates(maker, size), "contamination": _contaminated(maker, size, folder),
        "early_answers": _leaks(maker, size), "refusals": _refusals(maker, size), "language": _languages(maker, size),
        "failing_calls": _calls(maker, size, "failing_calls", executed=True),
        "unexecuted_calls": _calls(maker, size, "unexecuted_calls", executed=False), "agreement": _votes(maker, size),
    }  # fmt: skip


def _other_numbers(maker: Maker, text: str) -> str:
    return re.sub(r"\d+", lambda found: str(int(found.group(0)) + maker.rng.randint(1, 40)), text)


def _changed(maker: Maker, text: str) -> list[tuple[str, str]]:
    """A question said again, by how far from what it was."""
    said = text.split(" ")
    place = maker.rng.randrange(1, len(said) - 1)
    sentences = re.split(r"(?<=[.;]) ", text)
    synonyms = {
        "how many": "what number of",
        "altogether": "in total",
        "find": "give",
        "found": "got",
        "sold": "had sold",
    }
    worded = text
    for word, other in synonyms.items():
        worded = re.sub(rf"\b{word}\b", other, worded, flags=re.I)
    return [
        ("the same", text), ("case and marks", text.upper().replace(",", "").replace(".", " .")),
        ("a word left out", " ".join(said[:place] + said[place + 1 :])),
        ("a word added", " ".join([*said[:place], "really", *said[place:]])),
        ("a sentence before it", f"Use your tools with care. {text}"),
        ("synonyms", worded), ("sentences in another order", " ".join(reversed(sentences))),
    ]  # fmt: skip


def _duplicates(maker: Maker, size: int) -> Filtered:
    firsts = [maker.question() for _ in range(2 * size)]
    cases = [Case(candidate=maker.solved(question)) for question in firsts]
    for question in firsts[:size]:
        how, text = maker.rng.choice(_changed(maker, question.question))
        cases.append(Case(candidate=maker.solved(maker.question(text)), planted=how))
    for question in firsts[size : size + size // 4]:
        other = maker.question(_other_numbers(maker, question.question))
        cases.append(Case(candidate=maker.solved(other), clean="other numbers"))
    return Filtered(use={"name": "near_duplicates"}, cases=tuple(cases))


def _contaminated(maker: Maker, size: int, folder: Path) -> Filtered:
    evaluated = [maker.question() for _ in range(size)]
    file = folder / "evaluation.jsonl"
    file.write_text(
        "".join(json.dumps({"id": q.id, "question": q.question, "answer": q.answers[0]}) + "\n" for q in evaluated)
    )
    cases = [Case(candidate=maker.solved(maker.question())) for _ in range(2 * size)]
    for question in evaluated:
        changes = [
            *_changed(maker, question.question),
            ("words around it", f"Here is a task. {question.question} Thank you for it."),
        ]
        how, text = maker.rng.choice(changes)
        cases.append(Case(candidate=maker.solved(maker.question(text)), planted=how))
    for question in evaluated[: size // 4]:
        other = maker.question(_other_numbers(maker, question.question))
        cases.append(Case(candidate=maker.solved(other), clean="other numbers"))
    return Filtered(use={"name": "contamination", "sets": [str(file)]}, cases=tuple(cases))


def _leaks(maker: Maker, size: int) -> Filtered:
    cases = []
    for number in range(3 * size):
        question = maker.question(maker.rng.choice(texts.PROBLEMS).format(**(facts := maker.facts())))
        total = facts["x"] + facts["y"]
        question = question.model_copy(update={"answers": (str(total),), "metadata": {"facts": facts}})
        shown = {**facts, "n": total, "c": f"{total:,}", "m": 2 * total}
        bad = number < size
        template = maker.rng.choice(texts.LEAKS if bad else texts.NO_LEAKS)
        candidate = maker.solved(question, template.format(**shown))
        cases.append(Case(candidate=candidate, planted=template if bad else None, clean=template))
    return Filtered(use={"name": "early_answers"}, cases=tuple(cases))


def _refusals(maker: Maker, size: int) -> Filtered:
    cases = []
    for number in range(3 * size):
        question, bad = maker.question(), number < size
        facts = maker.facts()
        text = maker.rng.choice(texts.REFUSALS if bad else (*texts.SAID, *texts.NO_REFUSALS))
        candidate = maker.solved(question, final=f"{text.format(**facts)} \\boxed{{{question.answers[0]}}}")
        cases.append(Case(candidate=candidate, planted=text if bad else None, clean=text))
    return Filtered(use={"name": "refusals"}, cases=tuple(cases))


def _languages(maker: Maker, size: int) -> Filtered:
    cases = []
    for number in range(3 * size):
        facts, bad = maker.facts(), number < size
        name = maker.rng.choice(list(texts.FOREIGN)) if bad else "en"
        text = texts.FOREIGN[name] if bad else maker.rng.choice((*texts.SAID, *texts.NATIVE))
        shown = re.sub(r"\{([abtxy])\}", lambda found, facts=facts: str(facts[found.group(1)]), text)  # type: ignore[misc]
        candidate = maker.solved(maker.question(), shown)
        cases.append(Case(candidate=candidate, planted=name if bad else None, clean=text))
    return Filtered(use={"name": "language"}, cases=tuple(cases))


def _calls(maker: Maker, size: int, name: str, *, executed: bool) -> Filtered:
    """Failing calls that a tool refused, or that never reached one."""
    kinds = ("tool_error", "timeout") if executed else ("malformed_call", "unknown_tool", "invalid_arguments")
    cases = []
    for number in range(3 * size):
        kind = maker.rng.choice(kinds) if number < size else None
        seen = {"observation": Observation(name="add", content="no", ok=False, executed=executed, error_type=kind)}
        cases.append(Case(candidate=maker.solved(maker.question(), **(seen if kind else {})), planted=kind))
    return Filtered(use={"name": name}, cases=tuple(cases))


def _votes(maker: Maker, size: int) -> Filtered:
    """Eight samples a question, right with a chance drawn for each question; wrong ones choose among three near misses."""
    cases: list[Case] = []
    for _ in range(-(-3 * size // 8)):
        question = maker.question()
        right, chance = int(question.answers[0].split("/")[0]), maker.rng.uniform(0.3, 1)
        open_question = question.model_copy(update={"answers": ()})
        for sample in range(8):
            hit = maker.rng.random() < chance
            answer = right if hit else right + maker.rng.choice((1, 10, -10))
            written = f"{answer}.0" if maker.rng.random() < 0.2 else str(answer)
            solved = maker.solved(question, answer=written, sample=sample).trajectory
            cases.append(Case(
                candidate=Candidate(question=open_question, trajectory=solved),
                planted=None if hit else f"wrong, {'easy' if chance > 0.65 else 'hard'} question",
                clean=f"right, {'easy' if chance > 0.65 else 'hard'} question",
            ))  # fmt: skip
    return Filtered(use={"name": "agreement"}, cases=tuple(cases))
