"""What does each method do to a pair of pictures? The figure of the README."""

TIME = "30 s"  # on two cores, unless it says otherwise
