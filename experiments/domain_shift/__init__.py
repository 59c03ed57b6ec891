"""Does a look from dusk help a network that knows masks by day only? FDA on CamVid."""

TIME = "12 min"  # on two cores, unless it says otherwise
