"""Pages: one module each, with ``router(console)``. All of them are listed here, in the order of the navigation."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from mentor_console.context import Console
from mentor_console.pages import (
    datasets,
    evaluations,
    home,
    job,
    jobs,
    playground,
    sign_out,
    submit,
    training,
    trajectories,
    trajectory,
    trajectory_changes,
)

PAGES: tuple[Callable[[Console], APIRouter], ...] = (
    home.router,
    submit.router,
    jobs.router,
    job.router,
    datasets.router,
    evaluations.router,
    training.router,
    playground.router,
    sign_out.router,
    trajectories.router,
    trajectory_changes.router,
    trajectory.router,
)
