"""picamera2 imports this for previews on a screen, which nobody asks for here."""


class PixelFormat:
    """Any format by its name."""

    RGB888 = BGR888 = XBGR8888 = XRGB8888 = YUV420 = YVU420 = YUYV = NV12 = ABGR8888 = None


class PlaneType:
    Overlay = Primary = None
