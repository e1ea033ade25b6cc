class MostCalls:
    name = "most_calls"
    summary = "most executed calls first"

    def rank(self, trajectories):
        return sorted(trajectories, key=lambda t: -len(t.executed_calls))


PLUGIN = MostCalls()
