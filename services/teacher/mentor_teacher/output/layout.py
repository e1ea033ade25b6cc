"""Where everything is in the folder of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mentor.data import iter_trajectories, read_questions
from mentor.errors import UserError
from mentor.trajectory import Frozen, Question, Trajectory

CARD = "README.md"
MANIFEST = "manifest.json"
SUMMARY = "summary.json"
PAGE = "statistics.html"
REJECTED = "rejected.txt"
REFERENCES = "references"
TRAJECTORIES = "trajectories"
SFT = "sft"
SFT_TEXT = "sft_text"
PREFERENCES = "preferences"


def named(kind: str, split: str | None, splits: Sequence[str], suffix: str) -> str:
    """A file's name: of the first split plain, so that what is trained on is where it always was; of others with the
    split's.
    """
    return f"{kind}{suffix}" if split is None or split == splits[0] else f"{kind}-{split}{suffix}"


class Folder(Frozen):
    """A data set as it was read: its questions with references by split, and every trajectory."""

    path: str
    questions: tuple[Question, ...]
    trajectories: tuple[Trajectory, ...]


def read_folder(path: Path, field: str = "FOLDER") -> Folder:
    """Read a data set.

    Raises:
        UserError: it is none, or a file of it is malformed.
    """
    files = sorted(path.glob(f"{REFERENCES}*.jsonl"), key=lambda file: (len(file.name), file.name))
    if not files or not (path / f"{TRAJECTORIES}.jsonl").is_file():
        raise UserError(
            f"{path} holds no data set", field=field,
            allowed="a folder with references.jsonl and trajectories.jsonl, as `mentor teach` and teacher jobs write it",
        )  # fmt: skip
    questions = [question for file in files if file.stat().st_size for question in read_questions(file, field)]
    drawn = tuple(iter_trajectories(path / f"{TRAJECTORIES}.jsonl", field))
    return Folder(path=str(path), questions=tuple(questions), trajectories=drawn)


def by_question(trajectories: Iterable[Trajectory]) -> dict[str, list[Trajectory]]:
    """Trajectories by the id of their question, in their order."""
    found: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        found.setdefault(trajectory.question_id, []).append(trajectory)
    return found
