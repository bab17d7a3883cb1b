"""The officer's side of the device: buttons, contacts and motion in, light, vibration and sound out."""
