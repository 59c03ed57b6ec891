"""Samplers: `sample_<method>(key, shape, *, ...) -> Mix`, one file a method.

`shape` is `(B, *spatial)`, the shape of a mask with one entry for each position: for images with
channels last it is `images.shape[:-1]`. Samplers that follow data take that in place of a shape.

Whatever comes in, masks and label weights are float32 (hard masks are bool) and index arrays are
int32. An alpha, λ or probability that is traced and is 0, less, or NaN turns mixing off; one that
is known while tracing and is negative or NaN raises an error.
"""
