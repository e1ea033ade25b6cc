"""Judge samples again and write them as the folder of a run, which everything that reads runs then reads."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mentor.data import write_questions, write_text, write_trajectories
from mentor.data.provenance import code_digest, digest, versions
from mentor.errors import ConflictError
from mentor.rollout.solve import CORRECT, VERDICT
from mentor.trajectory import Frozen, Question, Trajectory
from mentor_evaluator.datasets.rows import checksum
from mentor_evaluator.matrix.manifest import CODE, PACKAGES, Manifest, SuiteFacts
from mentor_evaluator.measures.models import RunReport
from mentor_evaluator.measures.reading import made_again
from mentor_evaluator.runs import MANIFEST, QUESTIONS, REPORT, TRAJECTORIES, Run, cell_folder
from mentor_evaluator.scorers import SCORERS
from mentor_evaluator.scoring.files import Found
from mentor_evaluator.scoring.official import official_items, write_leaderboards
from mentor_evaluator.scoring.shapes import Item
from mentor_evaluator.suites import SUITES

_SCORERS = {"qa": "qa_response"}
_PLAIN = re.compile(r"[^A-Za-z0-9._:-]+")
_THREADS = 8
Cells = dict[tuple[str, str, str], list[Item]]
"""By model, suite and arm."""


class Agreement(Frozen):
    """Verdicts beside those that the files carried: how many samples had one, and who alone called them right."""

    samples: int = 0
    same: int = 0
    only_here: int = 0
    only_there: int = 0


class Naming(Frozen):
    """What files do not say, or what is to stand in place of what they say."""

    model: str | None = None
    suite: str | None = None
    scorer: str | None = None


def score_files(found: Found, output: Path, naming: Naming) -> tuple[RunReport, Agreement]:
    """Judge and report.

    Raises:
        UserError: an unknown scorer.
        ConflictError: the folder holds a run already.
    """
    if (output / MANIFEST).exists():
        raise ConflictError(f"{output} holds a run already", field="--output", allowed="a new folder")
    if naming.scorer:
        SCORERS.get(naming.scorer, "--scorer")
    verdicts, official = official_items(found.official, naming.model)
    cells = _cells([_named(item, naming) for item in found.items])
    scorers = {suite: naming.scorer or _scorer(suite, items[0].question) for (_, suite, _), items in cells.items()}
    judged = {key: _judged(items, scorers[key[1]]) for key, items in cells.items()}
    everything = {**judged, **_cells(official)}
    write_text(output / MANIFEST, _manifest(found, everything, scorers).model_dump_json(indent=2) + "\n")
    for (model, suite, arm), items in everything.items():
        _write(cell_folder(output, f"{model}/{suite}/{arm}"), items)
    write_leaderboards(verdicts, output)
    return _report(output), _agreement([item for items in judged.values() for item in items])


def _named(item: Item, naming: Naming) -> Item:
    return replace(item, model=naming.model or item.model or "model", suite=naming.suite or item.suite or "records")


def _cells(items: Sequence[Item]) -> Cells:
    """Samples by cell; a repeated number of a question's sample is one more sample of it."""
    by_place: dict[tuple[str, str, str | None], list[Item]] = defaultdict(list)
    for item in items:
        by_place[_plain(item.model or "model"), _plain(item.suite or "records").lower(), item.arm].append(item)
    return {
        (
            model,
            suite,
            arm or ("tools" if any(item.trajectory.attempted_names for item in mine) else "no-tools"),
        ): _numbered(mine)
        for (model, suite, arm), mine in by_place.items()
    }


def _numbered(items: Sequence[Item]) -> list[Item]:
    taken: Counter[str] = Counter()
    found = []
    for item in items:
        number = taken[item.question.id]
        taken[item.question.id] += 1
        found.append(replace(item, trajectory=item.trajectory.model_copy(update={"sample": number})))
    return found


def _plain(name: str) -> str:
    return _PLAIN.sub("-", name).strip("-.") or "unnamed"


def _scorer(suite: str, question: Question) -> str:
    return SUITES.get(suite).scorer if suite in SUITES.names() else _SCORERS.get(question.ability, "math_response")


def _judged(items: Sequence[Item], scorer: str) -> list[Item]:
    score = SCORERS.get(scorer).score

    def judge(item: Item) -> Item:
        if item.trajectory.failed:
            return item
        verdict = score(item.question, item.trajectory)
        metadata = {VERDICT: verdict.model_dump(exclude={"correct"}), CORRECT: verdict.correct}
        kept = {**item.trajectory.metadata, **metadata}
        return replace(item, trajectory=item.trajectory.model_copy(update={"metadata": kept}))

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(judge, items))


def _manifest(found: Found, cells: Cells, scorers: dict[str, str]) -> Manifest:
    """What is known; sampling, limits and prompts are not, and a comparison says so."""
    suites = {suite: _questions(items) for (_, suite, _), items in cells.items()}
    samples = max(item.trajectory.sample for items in cells.values() for item in items) + 1
    return Manifest(
        versions=versions(*PACKAGES), code=code_digest(CODE), prompt="unknown",
        spec={
            "models": [{"name": name} for name in dict.fromkeys(model for model, _, _ in cells)], "samples": samples,
            "scored": {"shapes": sorted(found.shapes), "files": {str(f): checksum(f) for f in found.files}},
        },
        suites={
            name: SuiteFacts(
                questions=len(questions), skipped=tuple(found.skipped), data={},
                questions_digest=digest([q.model_dump(mode="json") for q in sorted(questions, key=lambda q: q.id)]),
                scorer=scorers.get(name, "bfcl-eval"), tools={},
            )
            for name, questions in suites.items()
        },
    )  # fmt: skip


def _questions(items: Sequence[Item]) -> list[Question]:
    return list({item.question.id: item.question for item in items}.values())


def _write(folder: Path, items: Sequence[Item]) -> None:
    write_questions(_questions(items), folder / QUESTIONS)
    write_trajectories([item.trajectory for item in items], folder / TRAJECTORIES)


def _report(output: Path) -> RunReport:
    report = made_again(Run(output))
    for key, cell in report.cells.items():
        write_text(cell_folder(output, key) / REPORT, cell.model_dump_json(indent=2) + "\n")
    write_text(output / REPORT, report.model_dump_json(indent=2) + "\n")
    return report


def _agreement(items: Sequence[Item]) -> Agreement:
    pairs: list[tuple[bool, Trajectory]] = [(i.said, i.trajectory) for i in items if i.said is not None]
    counts = Counter((there, bool(t.metadata.get(CORRECT))) for there, t in pairs)
    return Agreement(
        samples=len(pairs), same=counts[True, True] + counts[False, False], only_here=counts[False, True],
        only_there=counts[True, False],
    )  # fmt: skip
