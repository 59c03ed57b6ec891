"""Does mixreg carry PPO to new levels? Returns on levels of CartPole, old and new."""

TIME = "5 min"  # on two cores, unless it says otherwise
