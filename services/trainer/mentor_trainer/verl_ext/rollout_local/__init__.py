"""The rollout backend ``local``: the project's own engine on the CPU, in a Ray actor, fed weights by the trainer."""
