"""Experiments: grids of methods x worlds x students x seeds as jobs of the services, and what they say about claims.

``spec`` is the grid file, ``plan`` what it asks for as content-addressed steps, ``running/`` how they are run and kept,
``records`` what is kept of a run for good, ``findings/`` what the records say: rates, tests, verdicts, tables, figures, a page.
"""
