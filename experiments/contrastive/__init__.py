"""Does mixing make better features without labels? i-Mix, Un-Mix, MixCo and SimCLR."""

TIME = "5 min"  # on two cores, unless it says otherwise
