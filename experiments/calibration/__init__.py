"""Is confidence what it should be? Before and after temperature scaling; OOD; RegMixup."""
