import csv

from mentor.trajectory import Question
from mentor_teacher.importers import Imported


class CsvPairs:
    name = "csv_pairs"
    summary = "two columns: question, answer"

    def read(self, path, options):
        with path.open(newline="") as file:
            rows = [Question(id=str(n), question=q, answers=(a,)) for n, (q, a) in enumerate(csv.reader(file))]
        return Imported(questions=tuple(rows))


PLUGIN = CsvPairs()
