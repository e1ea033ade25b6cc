"""What a spec may reach: hosts, files, secrets. Fields say what they name (``Reach``), operators say what is allowed."""

from mentor.reach.marks import Reach, named
from mentor.reach.settings import ReachSettings

__all__ = ["Reach", "ReachSettings", "named"]
