"""Hostile programs, and the services that they are run against."""
