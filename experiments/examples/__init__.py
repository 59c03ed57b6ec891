"""Train steps with mixing, to copy: each file is one example, `python -m experiments.examples.nnx`."""
