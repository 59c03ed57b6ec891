"""i-Mix, Un-Mix and MixCo beside SimCLR: features without labels, probed; or by --data."""
