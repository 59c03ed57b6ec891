"""Data sets as arrays: images f32[n, ...] in [0, 1] and integer labels."""
