"""The console's index under load: made trajectories, real jobs, a real console."""
