"""How should α be chosen? Over model size and label noise; a rule of thumb."""

TIME = "6 min"  # on two cores, unless it says otherwise
