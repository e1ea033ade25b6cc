from mentor_teacher.filters import Explained, FilterUse


class Options(FilterUse):
    most: int = 3


class ShortAnswers(Explained[Options]):
    name = "short_answers"
    summary = "drops long answers (most: characters)"
    Options = Options

    def drops(self, candidates, options):
        return [self._why(candidate.trajectory.answer or "", options.most) for candidate in candidates]

    def _why(self, answer, most):
        return None if len(answer) <= most else f"{len(answer)} characters"


class LongAnswers:
    name = "long_answers"
    summary = "drops answers of more than three characters"

    def keeps(self, candidates):
        return [len(candidate.trajectory.answer or "") <= 3 for candidate in candidates]


PLUGIN = LongAnswers()
SHORT = ShortAnswers()
