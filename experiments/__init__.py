"""Experiments: one question a script. `python -m experiments` lists them."""
