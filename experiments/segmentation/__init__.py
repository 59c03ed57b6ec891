"""CamVid: mixing frames and masks, and with a mean teacher."""
