"""picamera2 imports this to end ffmpeg with its parent, which nobody starts here."""
