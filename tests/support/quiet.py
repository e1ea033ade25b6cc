"""A job's context that keeps nothing but the folder."""

from __future__ import annotations

from mentor.rollout.solve import Unwatched as Quiet

__all__ = ["Quiet"]
