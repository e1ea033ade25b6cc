class LongAnswers:
    name = "long_answers"
    summary = "drops answers of more than three characters"

    def keeps(self, candidates):
        return [len(candidate.trajectory.answer or "") <= 3 for candidate in candidates]


PLUGIN = LongAnswers()
