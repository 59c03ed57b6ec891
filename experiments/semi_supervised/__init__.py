"""Do examples without labels help by mixing? MixMatch and ICT on moons and digits."""

TIME = "5 min"  # on two cores, unless it says otherwise
