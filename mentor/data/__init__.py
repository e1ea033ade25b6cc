"""Data on disk: question sets, the published parquet schema, trajectories."""

from mentor.data.files import atomic_path, write_text
from mentor.data.questions import read_questions, write_questions
from mentor.data.trajectories import iter_trajectories, write_trajectories

__all__ = ["atomic_path", "iter_trajectories", "read_questions", "write_questions", "write_text", "write_trajectories"]
