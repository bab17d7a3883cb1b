"""Drawing plates and scenes: the synthetic half of the training material."""
