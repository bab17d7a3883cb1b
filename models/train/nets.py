"""The two networks, written so that their int8 form is made of convolutions, ReLU6, adds, views and resizes only.

Both are fully convolutional: one set of weights serves any input size.  Input is luma, (batch, 1, height, width),
scaled to [-1, 1).
"""

from __future__ import annotations

import torch
from torch import nn

from edge.reader.alphabet import SYMBOLS

HEAT_STRIDE_PX = 8
CORNER_SCALE_PX = 4.0


class Conv(nn.Sequential):  # type: ignore[misc]
    """Convolution, batch normalisation, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int] = 3, stride: int | tuple[int, int] = 1
    ) -> None:
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, (size[0] // 2, size[1] // 2), bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )


class FirstConv(nn.Module):  # type: ignore[misc]
    """A first convolution of 5 rows to half the width and height, with four pixels of a row as four channels.

    The kernels for 8-bit integers take eight channels at a time, and seven of eight would be zeros; the view costs
    nothing.  Each step along the row gives two columns of the result.  A kernel of 5 x 5 with a stride of 2 over one
    channel is the case of it where the taps further out are zero.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.conv = nn.Conv2d(4, 2 * outputs, (5, 3), (2, 1), (2, 1), bias=False)
        self.norm = nn.BatchNorm2d(2 * outputs)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1, h, w) to (n, outputs, h/2, w/2); w is a multiple of 4."""
        count, _, height, width = x.shape
        fours = x.reshape(count, height, width // 4, 4).permute(0, 3, 1, 2)
        pairs = self.act(self.norm(self.conv(fours))).permute(0, 2, 3, 1)
        return pairs.reshape(count, height // 2, width // 2, self.outputs).permute(0, 3, 1, 2)


class Residual(nn.Module):  # type: ignore[misc]
    """Two convolutions and a way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape in and out."""
        return self.act(x + self.second(self.first(x)))


class Beside(nn.Conv2d):  # type: ignore[misc]
    """A convolution of single points that begins as nothing at all: what goes in comes out."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 1)
        with torch.no_grad():
            self.weight.copy_(torch.eye(width)[:, :, None, None])
        nn.init.zeros_(self.bias) if self.bias is not None else None


class Reader(nn.Module):  # type: ignore[misc]
    """A plate crop to one row of symbol logits: (n, 1, 48, 160) to (n, 40, symbols), for CTC; index 0 is the blank."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            FirstConv(32), Conv(32, 48), Conv(48, 80, 3, 2), Residual(80), Conv(80, 128, 3, (2, 1)), Residual(128),
            Conv(128, 160, 3, (2, 1)), Residual(160), Conv(160, 176, (3, 3)),
        )  # fmt: skip
        self.fold = nn.Sequential(
            nn.Conv2d(176, 192, (3, 1), bias=False), nn.BatchNorm2d(192), nn.ReLU6(inplace=True), Conv(192, 192, (1, 5))
        )
        self.drop = nn.Dropout2d(0.1)
        self.head = nn.Conv2d(192, len(SYMBOLS) + 1, 1)
        self._frozen = 0

    def freeze(self, layers: int) -> None:
        """Keeps the first layers of the body, of nine, as they are: kernels and normalisation."""
        self._frozen = layers
        self.body[:layers].requires_grad_(False)

    def train(self, mode: bool = True) -> Reader:
        """As every network; what is frozen goes on as if it were not trained."""
        super().train(mode)
        self.body[: self._frozen].eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1, 48, 160) to logits (n, 40, symbols + 1)."""
        return self.head(self.drop(self.fold(self.body(x)))).squeeze(2).transpose(1, 2)


class Detector(nn.Module):  # type: ignore[misc]
    """A picture to a heat map of plate centres and the plates' corners.

    (n, 1, h, w) to heat logits (n, 1, h/8, w/8) and corner offsets (n, 8, h/8, w/8): x, y of the four corners from
    the cell's centre, as asinh(pixels / 4), which keeps the relative error even after rounding to int8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(FirstConv(12), Conv(12, 32, 3, 2), Conv(32, 32))
        self.at8 = nn.Sequential(Conv(32, 48, 3, 2), Conv(48, 48))
        self.at16 = nn.Sequential(Conv(48, 64, 3, 2), Residual(64))
        self.at32 = nn.Sequential(Conv(64, 80, 3, 2), Residual(80))
        self.at64 = nn.Sequential(Conv(80, 80, 3, 2), Conv(80, 80))
        # A sum that goes two ways leaves the integers when the file is made; a convolution on one way keeps it in.
        self.from64 = nn.Conv2d(80, 80, 1)
        self.beside32 = Beside(80)
        self.from32 = nn.Conv2d(80, 64, 1)
        self.beside16 = Beside(64)
        self.from16 = nn.Conv2d(64, 48, 1)
        self.mix = nn.Sequential(Conv(48, 48), Conv(48, 56))
        self.heat = nn.Conv2d(56, 1, 1)
        self.corners = nn.Conv2d(56, 8, 1)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        nn.init.constant_(self.heat.bias, -5.0) if self.heat.bias is not None else None

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, 1, h, w) to heat logits (n, 1, h/8, w/8) and offsets (n, 8, h/8, w/8); h and w are multiples of 64."""
        at8 = self.at8(self.stem(x))
        at16 = self.at16(at8)
        at32 = self.at32(at16)
        wide = self.up(self.from64(self.at64(at32))) + self.beside32(at32)
        wide = self.up(self.from32(wide)) + self.beside16(at16)
        mixed = self.mix(self.up(self.from16(wide)) + at8)
        return self.heat(mixed), self.corners(mixed)
