"""What a training step costs: its phases, the share that is model, and TRL's trainer on the same rollouts."""
