"""Recipes: one call mixes a batch and its labels."""
