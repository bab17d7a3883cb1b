"""Moves and keeps evidence: the device's uplink (`sync.uplink`), the centre (`sync.central`); never imports `edge`."""
