"""Results that exist already, of this project's and of published scripts, judged again and reported as a run.

``files`` tells shapes apart and numbers broken lines, ``shapes`` turns a row into a question and a trajectory, ``score`` judges
and writes the run's folder; BFCL's result files go to its own checkers (``official``).
"""
