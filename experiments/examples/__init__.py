"""Train steps with mixing, to copy: `python -m experiments.examples.nnx` runs one of the files."""
