"""Filters: one file each. A filter says which of the teacher's trajectories cannot become references.

Its name is the name under which what it dropped is counted. Users' own come by the entry points of ``mentor.filters``;
``filters: [NAME, {name: NAME, OPTION: ...}]`` in a teacher's spec takes them, after those that always run.

The least that a filter has is ``keeps`` (``Filter``). One that takes options, or says why, extends ``Explained``; one
that looks at questions alone extends ``QuestionFilter``, and then runs before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import AfterValidator, BeforeValidator, SerializeAsAny

from mentor.plugins import Plugin, Registry
from mentor.trajectory import Frozen, Question, Trajectory

Why = str | None
"""Why something is dropped, in a few words; None: it is kept."""


class Candidate(Frozen):
    """A trajectory that may become a reference, beside its question."""

    question: Question
    trajectory: Trajectory


class Filter(Plugin, Protocol):
    """Drops candidates. It sees all that are left at once, so that it may compare them."""

    def keeps(self, candidates: Sequence[Candidate]) -> list[bool]:
        """Whether each is kept, in their order."""
        ...


FILTERS: Registry[Filter] = Registry("filter", "mentor_teacher.filters", Filter)

FilterName = Annotated[str, AfterValidator(FILTERS.check)]
"""Type of a spec's field that names a filter."""


class FilterUse(Frozen):
    """A filter in a spec. Those with options extend this by them, each with a default or required."""

    name: FilterName

    def check(self, field: str) -> None:
        """Raise ``UserError`` naming ``field`` on what can never work, such as a file that is not there. Runs in the
        service.
        """

    def require_plain(self, field: str) -> None:
        """Raise ``ForbiddenError`` naming ``field`` on what only operators may ask for."""


U = TypeVar("U", bound=FilterUse)


class Explained(Generic[U]):
    """Base of filters with options. ``Options`` is what a spec may say; ``drops`` is all that has to be written."""

    name: str
    summary: str
    Options: ClassVar[type[FilterUse]] = FilterUse

    def drops(self, candidates: Sequence[Candidate], options: U) -> list[Why]:
        """Why each is dropped, in their order."""
        raise NotImplementedError

    def keeps(self, candidates: Sequence[Candidate]) -> list[bool]:
        """Whether each is kept with the options' defaults."""
        options: Any = self.Options.model_validate({"name": self.name})
        return [why is None for why in self.drops(candidates, options)]


class QuestionFilter(Explained[U]):
    """Base of filters that look at questions alone: what they drop is not even drawn."""

    def drops_questions(self, questions: Sequence[Question], options: U) -> list[Why]:
        """Why each is dropped, in their order."""
        raise NotImplementedError

    def drops(self, candidates: Sequence[Candidate], options: U) -> list[Why]:
        """As ``drops_questions`` says of the candidates' questions, each asked about once."""
        questions = list({c.question.id: c.question for c in candidates}.values())
        said = dict(zip((q.id for q in questions), self.drops_questions(questions, options), strict=True))
        return [said[c.question.id] for c in candidates]


def parse_use(value: Any) -> Any:
    """A name, or a name with options, as the filter's own ``Options``.

    Raises:
        ValueError: an unknown filter; pydantic's own error names the option.
    """
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        return given
    options = getattr(FILTERS.get(FILTERS.check(given["name"])), "Options", FilterUse)
    return options.model_validate(given)


Use = Annotated[SerializeAsAny[FilterUse], BeforeValidator(parse_use)]
"""Type of an entry of a spec's ``filters``."""


def run_filter(use: FilterUse, candidates: Sequence[Candidate]) -> list[Why]:
    """What a filter says of candidates, whichever way it says it."""
    plugin: Any = FILTERS.get(use.name)
    if isinstance(plugin, Explained):
        return plugin.drops(candidates, use)
    return [None if kept else plugin.summary for kept in plugin.keeps(candidates)]
