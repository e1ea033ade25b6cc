from mentor.grading import Verdict


class SameLength:
    name = "same_length"
    summary = "right if as long as a golden answer"

    def grade(self, prediction, golds):
        correct = prediction is not None and len(prediction) in map(len, golds)
        return Verdict(correct=correct, reason="equal" if correct else "different")


PLUGIN = SameLength()
