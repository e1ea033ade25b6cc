"""Contracts: every RPC and its REST twin behave alike; committed stubs match their protos."""
