"""Which method helps most? All of them, ranked on digits, and on pictures by --data."""

TIME = "6 min; --data 1 h"  # on two cores, unless it says otherwise
