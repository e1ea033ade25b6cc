"""What happens to a run's checkpoints while it goes on: evaluated elsewhere, the best kept, an end when nothing gets better.

None of it may stop a run by failing: an evaluator that is away costs an evaluation, never a step.
"""
