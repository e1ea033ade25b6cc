"""How often every kind of interval in reports holds the truth, by simulation."""
