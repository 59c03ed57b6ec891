"""Does mixup help on tables? UCI's, at the paper's ten epochs and at convergence; any CSV."""

TIME = "6 min"  # on two cores, unless it says otherwise
