"""A function of a user's own: Python that looks at one question and one trajectory. For operators: it is code in the job."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from mentor.data.files import check_readable
from mentor.errors import ForbiddenError, UserError
from mentor.reach import Reach
from mentor_teacher.filters import Candidate, Explained, FilterUse, Why


class Settings(FilterUse):
    """``path: FILE.py:FUNCTION``, or ``file`` and ``function`` apart. It is given a question and a trajectory
    (``mentor.trajectory``), and returns True to keep it, False or a text that says why to drop it."""

    file: Annotated[str, Reach.PATH]
    function: str = Field(default="keeps", pattern=r"^[A-Za-z_]\w*$")

    @model_validator(mode="before")
    @classmethod
    def _apart(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("path"), str):
            return given
        file, colon, function = given["path"].rpartition(":")
        apart = {"file": file, "function": function} if colon and function.isidentifier() else {"file": given["path"]}
        return {key: value for key, value in given.items() if key != "path"} | apart

    def check(self, field: str) -> None:
        """The file is parsed, never run: that is for the job's own process."""
        check_readable(Path(self.file), f"{field}.file")
        try:
            tree = ast.parse(Path(self.file).read_bytes())
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{self.file} is no Python: {error}", field=f"{field}.file") from error
        if not any(isinstance(node, ast.FunctionDef) and node.name == self.function for node in tree.body):
            raise _absent(self.file, self.function, f"{field}.function")

    def require_plain(self, field: str) -> None:
        raise ForbiddenError(
            f"{field}: code of one's own is for operators", field=field, allowed="filters that are installed"
        )


class _Function(Explained[Settings]):
    name = "function"
    summary = "drops what a Python function of yours does not keep (path: FILE.py:FUNCTION); operators only"
    Options = Settings

    def drops(self, candidates: Sequence[Candidate], options: Settings) -> list[Why]:
        keeps = load(options)
        return [_ask(keeps, candidate, options) for candidate in candidates]


def load(options: Settings) -> Callable[..., Any]:
    """The function.

    Raises:
        UserError: the file cannot be read or run, or has no such function.
    """
    check_readable(Path(options.file), "filters.function.file")
    try:
        found = runpy.run_path(options.file).get(options.function)
    except Exception as error:  # somebody's own code: whatever it raises is told to them
        raise UserError(
            f"{options.file} cannot be run: {type(error).__name__}: {error}", field="filters.function.file"
        ) from error
    if not callable(found):
        raise _absent(options.file, options.function, "filters.function.function")
    called: Callable[..., Any] = found
    return called


def _absent(file: str, function: str, field: str) -> UserError:
    allowed = f"def {function}(question, trajectory)"
    return UserError(f"{file} has no function {function!r}", field=field, allowed=allowed)


def _ask(keeps: Callable[..., Any], candidate: Candidate, options: Settings) -> Why:
    try:
        said = keeps(candidate.question, candidate.trajectory)
    except Exception as error:
        raise UserError(
            f"{options.function} failed on question {candidate.question.id!r}: {type(error).__name__}: {error}",
            field="filters.function",
        ) from error
    if isinstance(said, str):
        return said or "dropped"
    if not isinstance(said, bool):
        raise UserError(
            f"{options.function} returned {said!r:.80} on question {candidate.question.id!r}",
            field="filters.function", allowed="True, False, or why not",
        )  # fmt: skip
    return None if said else f"{options.function} says no"


PLUGIN = _Function()
