"""Is the network harder to fool? Attacks, white and black box, and corruptions."""

TIME = "6 min"  # on two cores, unless it says otherwise
