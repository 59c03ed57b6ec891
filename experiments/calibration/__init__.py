"""Is confidence what it should be? Before and after temperature scaling; OOD; RegMixup."""

TIME = "6 min"  # on two cores, unless it says otherwise
