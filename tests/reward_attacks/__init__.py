"""Tries to earn reward without deserving it; the referee that plays them through the agent loop; a reward that reads text."""
