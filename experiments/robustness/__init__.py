"""Attacks, white and black box, and common corruptions."""
