"""Samplers: `sample_<method>(key, shape, *, ...) -> Mix`, one file a method."""
