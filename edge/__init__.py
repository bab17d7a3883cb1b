"""Everything that runs on the device; imports ``vedette``, never ``sync``."""
