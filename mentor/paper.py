"""Settings of the paper (Table 5) that are the trainer's defaults and that others reckon with where a spec does not say."""

TRAIN_BATCH_SIZE = 16
"""Questions of a step."""
ROLLOUTS = 10
"""Trajectories of a question."""
TOTAL_EPOCHS = 2
