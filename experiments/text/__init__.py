"""Does mixing help a text classifier? Words' or sentences' vectors; masks."""

TIME = "90 min"  # on two cores, unless it says otherwise
