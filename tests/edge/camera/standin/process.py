"""The process for a camera as it is, over the stand-in for libcamera; STANDIN_FAILS says what fails there."""

import sys

from memory_heap import put_under_picamera2

from edge.camera.apart_child import main

put_under_picamera2()
sys.exit(main())
