"""Can losses find wrong labels? DivideMix, M-correction and pairs of networks."""

TIME = "5 min"  # on two cores, unless it says otherwise
