"""Talking to a model with tools, told as it happens."""
