"""Recipes: a batch and its labels mixed in one call."""
