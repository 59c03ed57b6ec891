"""Flax models, one file each."""
