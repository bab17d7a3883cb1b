"""Training of the plate detector and the plate reader (needs the training environment, not the device's)."""
