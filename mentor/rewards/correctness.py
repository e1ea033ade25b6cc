"""R_c: is the answer right? (paper, section 3.2)"""

from __future__ import annotations

from mentor.rewards.base import Judge
from mentor.trajectory import Reference, Trajectory


def ground_truth(trajectory: Trajectory, reference: Reference, answers: tuple[str, ...], judge: Judge) -> bool:
    """Against the data set's answers; against the teacher's where the data set has none."""
    golds = answers or ((reference.answer,) if reference.answer is not None else ())
    return bool(golds) and judge(trajectory.answer, golds)


def teacher_answer(trajectory: Trajectory, reference: Reference, answers: tuple[str, ...], judge: Judge) -> bool:
    """Against this reference's own answer."""
    return reference.answer is not None and judge(trajectory.answer, (reference.answer,))


CORRECTNESS = {"ground_truth": ground_truth, "teacher_answer": teacher_answer}
