"""What does mixing add to a step? Against one read and one write, and other libraries."""

TIME = "15 min; --quick 3 min"  # on two cores, unless it says otherwise
