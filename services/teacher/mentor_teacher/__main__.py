"""``python -m mentor_teacher``: run the service."""

from __future__ import annotations

import sys

from mentor.serving import main
from mentor_teacher.app import TeacherSettings, build

if __name__ == "__main__":
    sys.exit(main("teacher", TeacherSettings, build))
