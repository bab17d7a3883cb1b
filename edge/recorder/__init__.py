"""The recorder: owns the camera and the spool, uses no network, and waits for nobody."""
