"""Running a plan: ``work`` keeps what steps leave, ``jobs`` runs a step as a job, ``queue`` says which step is next, ``lanes``
runs them side by side, ``made`` makes records of runs that are through, ``board`` shows it, ``stack`` is an own local stack."""
