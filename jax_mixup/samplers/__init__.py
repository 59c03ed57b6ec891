"""Samplers: `sample_<method>(key, shape, *, ...) -> Mix`, one file for each method.

The argument `shape` is `(B, *spatial)`, the shape of a mask with one entry for each position: for
images with channels last it is `images.shape[:-1]`. Samplers that follow data take an array, such
as saliency or ids, in place of `shape`, and they always draw per example.

Whatever dtypes come in, label weights and soft masks are float32, hard masks are bool, and index
arrays are int32. A traced alpha or probability turns mixing off if it is 0, negative or NaN, and so
does a λ that is NaN. An alpha or probability that is known while tracing raises an error if it is
negative or NaN.
"""
