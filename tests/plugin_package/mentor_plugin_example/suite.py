from mentor.trajectory import Question
from mentor_evaluator.suites import Loaded


class Sums:
    name = "sums"
    summary = "sums of two digits"
    groups = ("arithmetic",)
    scorer = "brevity"

    def load(self, folder, *, skip_broken=False):
        rows = (Question(id=f"{n}", question=f"{n}+{n}?", answers=(str(2 * n),), tools=("add",)) for n in range(3))
        return Loaded(questions=tuple(rows))

    def aggregate(self, scores):
        return {"most_turns": max(score.values["turns"] for samples in scores.values() for score in samples)}


PLUGIN = Sums()
