from mentor.grading import Verdict


class Brevity:
    name = "brevity"
    summary = "right answers in one turn"

    def score(self, question, trajectory):
        correct = trajectory.answer in question.answers and len(trajectory.turns) == 1
        return Verdict(correct=correct, reason="short" if correct else "long", values={"turns": len(trajectory.turns)})


PLUGIN = Brevity()
