"""Which mixes suit video? Boxes tied over frames, cuts in time, fades; mistakes."""

TIME = "5 min"  # on two cores, unless it says otherwise
