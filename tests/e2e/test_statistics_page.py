"""The statistics of a data set in a real browser: figures without a network, and hostile text that stays text."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentor_teacher.output.dataset import write_dataset
from mentor_teacher.output.layout import PAGE
from mentor_teacher.output.manifest import Origin
from mentor_teacher.select import select
from tests.e2e.test_report_page import CHROMIUM, rendered
from tests.support.drawn import SUM, drawn, question

HOSTILE = "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page is not looked at")
def test_the_page_draws_its_figures_and_runs_nothing_that_anybody_wrote(tmp_path: Path) -> None:
    asked = [question(f"q{n}{HOSTILE}", f"What is 42? {n} {HOSTILE}") for n in range(4)]
    step = (HOSTILE, f"tool{HOSTILE}", {"x": HOSTILE}, HOSTILE)
    samples = [t for q in asked for t in (drawn(q, SUM, step), drawn(q, sample=1, answer=HOSTILE, final=HOSTILE))]
    selected = select(asked, samples, max_references=1)
    write_dataset(tmp_path, asked, selected, Origin(kind="job", model=HOSTILE), name=f"sums {HOSTILE}")
    page = rendered(tmp_path / PAGE, tmp_path / "profile")
    assert "<title>MENTOR: data set sums &lt;/script&gt;" in page
    assert page.count('class="main-svg"') >= 4 and "What became of the trajectories" in page
    assert "<img src=" not in page and "document.title='hacked'&lt;/script&gt;" in page
