"""Methods that do not sample, on TRL's trainers (over transformers' Trainer): ``python -m mentor_trainer.hf`` is their process.

What is ours is what TRL is given, tokens with the mask of what the model itself said (``mentor_trainer.sft_data``,
``mentor_trainer.preference_data``), and a callback that keeps metrics, checkpoints and the stop file as a run in verl does,
so that one supervisor serves both.
"""
