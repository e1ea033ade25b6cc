"""The Berkeley Function-Calling Leaderboard, v4: its data and checkers (package ``bfcl-eval``), run by this project.

``categories``, ``entries`` (data), ``prompts`` and ``generate`` (what a model is shown, and what it did), ``scoring``,
``aggregate``, ``results`` (official result files). The package's own code runs in processes of its own (``child``) that are
forked for one task and killed at a deadline (``processes``); nothing of it is imported here. This module imports nothing,
because those processes import it as well.
"""
