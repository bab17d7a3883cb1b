"""picamera2 imports this for raw photographs."""

Picamera2Camera = object
