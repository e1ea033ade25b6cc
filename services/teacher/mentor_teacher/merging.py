"""Several data sets as one: a question that occurs twice is one question, with the samples of both."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentor.data.provenance import file_digest
from mentor.errors import ConflictError, UserError
from mentor.trajectory import Question, Trajectory
from mentor_teacher.output.dataset import write_dataset
from mentor_teacher.output.layout import MANIFEST, SUMMARY, TRAJECTORIES, Folder, by_question, read_folder
from mentor_teacher.output.manifest import Origin
from mentor_teacher.output.splits import SPLIT
from mentor_teacher.select import PASS_RATE, SAMPLES, select
from mentor_teacher.texts import words

MERGED_FROM = "merged_from"
"""Key in the metadata of questions and trajectories: the folder's name, of a question all of them."""
_OWN = (PASS_RATE, SAMPLES, SPLIT, MERGED_FROM)
_SAME = ("answers", "tools", "env", "func_schemas", "messages")


def merge_datasets(
    folders: Sequence[Path], output: Path, *, selection: str, most: int, shares: dict[str, float]
) -> dict[str, Any]:
    """Write the union; returns its summary.

    Questions are the same whose words are; their samples are numbered on, the same trajectory is there once, and references are
    selected anew from all that no filter had dropped. Ids that mean different questions get their folder's name in front.

    Raises:
        UserError: fewer than two folders, or one is no data set.
        ConflictError: the same question has other answers or other tools in another folder, or two folders have one name.
    """
    if len(folders) < 2:
        raise UserError(f"{len(folders)} folder", field="FOLDER", allowed="two or more data sets")
    names = [folder.resolve().name for folder in folders]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConflictError(f"two folders are called {twice!r}", field="FOLDER", allowed="names that differ")
    parts = {name: read_folder(folder) for name, folder in zip(names, folders, strict=True)}
    questions, drawn = _union(parts)
    selected = select(questions, drawn, max_references=most, selection=selection, settled=True)
    if not selected.questions:
        raise UserError("no trajectory of any of them was kept", field="FOLDER", allowed="data sets with references")
    origin = Origin(
        kind="merge", model=", ".join(sorted({t.model or "" for t in drawn})),
        spec={"selection": selection, "max_references": most, "split": shares},
        inputs={
            f"{name}/{TRAJECTORIES}.jsonl": file_digest(folder / f"{TRAJECTORIES}.jsonl")
            for name, folder in zip(names, folders, strict=True)
        },
        merged={name: _manifest(folder) for name, folder in zip(names, folders, strict=True)},
    )  # fmt: skip
    facts = {"model": origin.model, "merged": {name: len(part.questions) for name, part in parts.items()}}
    return write_dataset(output, questions, selected, origin, name=output.resolve().name, shares=shares, facts=facts)


def _union(parts: dict[str, Folder]) -> tuple[list[Question], list[Trajectory]]:
    by_words: dict[str, Question] = {}
    sources: dict[str, list[str]] = defaultdict(list)
    drawn: list[Trajectory] = []
    seen: Counter[str] = Counter()
    taken: set[str] = set()
    for name, part in parts.items():
        ids: dict[str, str] = {}
        for question in _every(part):
            key = _key(question)
            known = by_words.get(key)
            if known is None:
                known = by_words[key] = _as_new(question, name, taken)
                taken.add(known.id)
            else:
                by_words[key] = known = _same(known, question, sources[known.id][-1], name)
            ids[question.id] = known.id
            sources[known.id].append(name)
        drawn += _renamed(part.trajectories, ids, name, seen)
    questions = [
        q.model_copy(update={"metadata": {**q.metadata, MERGED_FROM: list(dict.fromkeys(sources[q.id]))}})
        for q in by_words.values()
    ]
    return questions, _renumbered(drawn)


def _every(part: Folder) -> list[Question]:
    """Questions with references, and those without as far as their trajectories tell."""
    known = {question.id for question in part.questions}
    others = {t.question_id: t.question for t in part.trajectories if t.question_id not in known}
    return [*part.questions, *(Question(id=name, question=text) for name, text in others.items())]


def _key(question: Question) -> str:
    return " ".join(words(question.question)) or question.question


def _as_new(question: Question, name: str, taken: set[str]) -> Question:
    metadata = {key: value for key, value in question.metadata.items() if key not in _OWN}
    new = f"{name}/{question.id}" if question.id in taken else question.id
    return question.model_copy(update={"id": new, "references": (), "metadata": metadata})


def _same(known: Question, other: Question, where: str, name: str) -> Question:
    """The fuller of two that ask the same.

    Raises:
        ConflictError: they do not.
    """
    if not known.answers or not other.answers:  # one of them has no references, and so tells only its text
        return known if known.answers else other.model_copy(update={"id": known.id, "references": ()})
    unequal = next((field for field in _SAME if _differ(getattr(known, field), getattr(other, field))), None)
    if unequal is None:
        return known
    raise ConflictError(
        f"question {other.id!r} of {name} ({other.question[:60]!r}) is in {where} with other {unequal}: "
        f"{getattr(known, unequal)!r:.60} and {getattr(other, unequal)!r:.60}",
        field="FOLDER", allowed="data sets that agree on the questions that they share",
    )  # fmt: skip


def _differ(one: Any, other: Any) -> bool:
    """Names and answers are sets; anything else is compared as it is."""
    plain = all(isinstance(value, tuple) and all(isinstance(x, str) for x in value) for value in (one, other))
    return set(one) != set(other) if plain else bool(one != other)


def _renamed(
    trajectories: Sequence[Trajectory], ids: dict[str, str], name: str, known: Counter[str]
) -> list[Trajectory]:
    """Trajectories under the ids of the union, without those that an earlier folder has: ``known`` counts what is there.

    Equal samples of one folder are samples that came out equal, and stay; so of each the folder with the most decides.
    """
    found, here = [], Counter[str]()
    for trajectory in trajectories:
        plain = trajectory.model_copy(update={"question_id": ids[trajectory.question_id]})
        told = plain.model_dump_json(include={"question_id", "turns", "answer", "termination", "model"})
        here[told] += 1
        if here[told] > known[told]:
            metadata = {MERGED_FROM: name, **plain.metadata}
            found.append(plain.model_copy(update={"metadata": metadata}))
    known |= here
    return found


def _renumbered(drawn: Sequence[Trajectory]) -> list[Trajectory]:
    return [
        trajectory.model_copy(update={"sample": number})
        for samples in by_question(drawn).values()
        for number, trajectory in enumerate(samples)
    ]


def _manifest(folder: Path) -> Any:
    """The part's own manifest, or its summary where it is older than manifests."""
    file = next((f for f in (folder / MANIFEST, folder / SUMMARY) if f.is_file()), None)
    if file is None:
        return {}
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file} is not JSON", field="FOLDER") from error
