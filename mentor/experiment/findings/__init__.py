"""What the records of a grid say: rates, differences, verdicts, tables, figures, a page.

``results`` finds records by their place, ``measures`` and ``aligned`` turn draws into figures with intervals, ``measured``
keeps those of one world and student, ``verdicts`` holds claims against them; the rest writes.
"""

from mentor.experiment.findings.report import report

__all__ = ["report"]
