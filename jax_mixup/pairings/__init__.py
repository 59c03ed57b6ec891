"""Pairings: which example each example of a batch is mixed with."""
