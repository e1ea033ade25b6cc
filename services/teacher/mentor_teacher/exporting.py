"""One kind of training files from the folder of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mentor.data.parquet import write_parquet
from mentor.errors import UserError
from mentor_teacher.output.layout import REFERENCES, by_question, named, read_folder
from mentor_teacher.output.messages import Writer
from mentor_teacher.output.preferences import write_preferences
from mentor_teacher.output.sft import write_sft
from mentor_teacher.output.splits import SPLIT, split


def export_dataset(
    folder: Path, form: str, output: Path, system: str | None, shares: Mapping[str, float]
) -> list[Path]:
    """Write the files; returns them. Without ``shares`` the data set's own splits hold.

    Raises:
        UserError: the folder holds no data set, or nothing of that form.
    """
    read = read_folder(folder)
    samples, writer = by_question(read.trajectories), Writer(system)
    parts = split(read.questions, shares)
    if not shares and any(SPLIT in question.metadata for question in read.questions):
        names = list(dict.fromkeys(str(question.metadata.get(SPLIT, "train")) for question in read.questions))
        parts = {n: [q for q in read.questions if str(q.metadata.get(SPLIT, "train")) == n] for n in names}
    splits = [name for name in parts if name is not None]
    files: list[Path] = []
    for name, questions in parts.items():
        if form == REFERENCES:
            path = output / named(REFERENCES, name, splits, ".parquet")
            write_parquet(questions, path)
            files.append(path)
        else:
            write = write_sft if form == "sft" else write_preferences
            files += write(questions, samples, output, writer, name, splits)
    if not files:
        raise UserError(
            f"{folder} has no pair: no question has a right and a wrong way, or a clean and a failing one", field="--as",
            allowed="references, sft",
        )  # fmt: skip
    return files
