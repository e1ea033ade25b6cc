import sys
from dataclasses import dataclass


@dataclass
class Nothing:
    name: str = "nothing"
    summary: str = "leaves the student as it is"
    samples: bool = False
    on_verl: bool = False

    def conditions(self, spec):
        return [("weight_decay", "0 with nothing", spec.weight_decay == 0)]

    def steps_per_epoch(self, spec, questions, chat_format):
        return 1

    def command(self, spec, paths):
        return sys.executable, "-m", "mentor_plugin_example.train", spec.model, str(paths.checkpoints)


PLUGIN = Nothing()
TAKEN = Nothing(name="sft")
