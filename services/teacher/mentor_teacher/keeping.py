"""What of a set of trajectories is kept, and how it is laid out: what jobs, imports and merges ask alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from mentor.errors import UserError
from mentor.trajectory import Frozen
from mentor_teacher.filters import FilterUse, Use
from mentor_teacher.filters.agreement import NAME as AGREEMENT
from mentor_teacher.selections import SelectionName

VERIFICATION = ("unanswered", "wrong")
"""Filters that always run, and first."""
_SPLIT = re.compile(r"[a-z][a-z0-9_]{0,31}")
_USES: TypeAdapter[tuple[FilterUse, ...]] = TypeAdapter(tuple[Use, ...])


class KeepSpec(Frozen):
    """``filters`` run in their order after those of ``VERIFICATION``; each sees what the ones before it left. Of what
    stays, at most ``max_references`` of a question become references, in the order of ``selection``. ``require_tools``
    is short for the filter ``without_tools`` (the paper's data set holds trajectories that use tools).
    """

    max_references: int = Field(default=4, ge=1, le=64)
    require_tools: bool = False
    filters: tuple[Use, ...] = Field(
        default=(), description="names, or {name: NAME, OPTION: ...}, run in this order: `mentor list filter`"
    )
    selection: SelectionName = Field(
        default="fewest_calls", description="which of several right trajectories come first: `mentor list selection`"
    )
    split: dict[str, float] = Field(
        default_factory=dict,
        description="shares of questions by the split's name, such as {train: 0.9, validation: 0.1}",
    )

    @field_validator("split")
    @classmethod
    def _whole(cls, given: dict[str, float]) -> dict[str, float]:
        unfit = next((name for name in given if not _SPLIT.fullmatch(name)), None)
        if unfit is not None:
            raise ValueError(f"{unfit!r} cannot name a split (allowed: small letters, digits and _)")
        if given and (min(given.values()) <= 0 or abs(sum(given.values()) - 1) > 1e-6):
            raise ValueError(f"shares of {sum(given.values()):g} in all (allowed: each above 0, together 1)")
        return given

    @property
    def all_filters(self) -> tuple[FilterUse, ...]:
        """The filters that run after the verification, ``require_tools`` included."""
        named = {use.name for use in self.filters}
        first = (FilterUse(name="without_tools"),) if self.require_tools and "without_tools" not in named else ()
        return (*first, *self.filters)

    @property
    def by_agreement(self) -> bool:
        """Whether samples vote where there is no ground truth."""
        return any(use.name == AGREEMENT for use in self.filters)

    def require_plain(self) -> None:
        """Raise ``ForbiddenError`` on what only operators may ask of filters."""
        for number, use in enumerate(self.filters):
            use.require_plain(f"filters.{number}")


def parse_uses(given: Sequence[Any], field: str = "filters") -> tuple[FilterUse, ...]:
    """Filters as a spec names them.

    Raises:
        UserError: an unknown filter or option, naming it below ``field``.
    """
    try:
        return _USES.validate_python(tuple(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((field, *map(str, first["loc"])))
        raise UserError(f"{where}: {first['msg'].removeprefix('Value error, ')}", field=where) from error
