"""Verbs that change a mix before it is applied: its mask, or its label weights."""
