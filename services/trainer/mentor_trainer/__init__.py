"""The trainer service: GRPO inside verl, or SFT, on questions with a teacher's references."""
