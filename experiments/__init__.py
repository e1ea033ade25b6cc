"""Experiments that answer for the product's claims: worlds made from nothing, grid files, and the records of what was run."""
