"""picamera2 imports this for raw photographs."""

PICAM2DNG = object
