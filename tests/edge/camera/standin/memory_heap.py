"""The kernel's dma-heap, which is not here: plain memory files, under the real picamera2."""

import importlib
import os
from types import SimpleNamespace


class MemoryHeap:
    def alloc(self, name: str, size: int) -> object:
        fd = os.memfd_create(name)
        os.ftruncate(fd, size)
        return SimpleNamespace(get=lambda: fd, isValid=lambda: True)

    def close(self) -> None:
        pass


def put_under_picamera2() -> None:
    allocator = importlib.import_module("picamera2.allocators.dmaallocator")
    allocator.DmaHeap = MemoryHeap
    allocator.fcntl = SimpleNamespace(ioctl=lambda *_: 0)
