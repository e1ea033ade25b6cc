from mentor.trajectory import Termination, Trajectory


class Mute:
    name = "mute"
    summary = "never asks the model"

    async def draw(self, question, policy, toolset, limits, sampling, *, sample=0):
        return Trajectory(question_id=question.id, termination=Termination.MAX_TURNS, sample=sample)


PLUGIN = Mute()
