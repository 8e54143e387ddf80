"""A log-mel in a few hundred bytes: what the sound model hears of it, less the grain of the noise.

Blocks of 8 by 8 go through a cosine transform (DCT-II, orthonormal), are divided by `STEP` and
rounded: most of the 10,240 numbers become 0. Lossy; the exact log-mel follows in the hourly object.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from schemas.errors import BadInput
from schemas.readings import LOG_MEL_SHAPE

BLOCK: Final = 8
STEP: Final = 32.0  # of a coefficient, in units of the log-mel (0.47 dB)
SIZE: Final = LOG_MEL_SHAPE[0] * LOG_MEL_SHAPE[1]
_GRID: Final = (LOG_MEL_SHAPE[0] // BLOCK, LOG_MEL_SHAPE[1] // BLOCK)
_MIDDLE: Final = 128.0
_LEVEL: Final = 19


def pack_log_mel(log_mel: NDArray[np.uint8]) -> bytes:
    """uint8[160, 64] → coarse and compressed, about 600 bytes."""
    blocks = (log_mel.astype(np.float32) - _MIDDLE).reshape(_GRID[0], BLOCK, _GRID[1], BLOCK)
    cosines = np.einsum("ia,tafb,jb->ijtf", _cosines(), blocks, _cosines(), optimize=True)
    coefficients = np.clip(np.rint(cosines / STEP), -127, 127).astype(np.int8)
    # Coefficients of one frequency lie together: long stretches of zeros.
    return zstandard.ZstdCompressor(level=_LEVEL).compress(coefficients.tobytes())


def unpack_log_mel(data: bytes) -> NDArray[np.uint8]:
    """The inverse of `pack_log_mel`, but for what it left out.

    Raises:
        BadInput: Not what `pack_log_mel` makes.
    """
    try:
        declared = zstandard.frame_content_size(data)
        if declared != SIZE:  # before it unfolds
            raise BadInput(f"log_mel unfolds to {declared} bytes, limit exactly {SIZE}")
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=SIZE, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadInput(f"log_mel does not unfold: {error}") from error
    cosines = np.frombuffer(raw, np.int8).reshape(BLOCK, BLOCK, *_GRID).astype(np.float32) * STEP
    blocks = np.einsum("ia,ijtf,jb->tafb", _cosines(), cosines, _cosines(), optimize=True)
    return np.clip(np.rint(blocks.reshape(LOG_MEL_SHAPE) + _MIDDLE), 0, 255).astype(np.uint8)


@cache
def _cosines() -> NDArray[np.float32]:
    """float32[8, 8]: row i is the i-th cosine."""
    angles = np.pi / BLOCK * np.outer(np.arange(BLOCK), np.arange(BLOCK) + 0.5)
    rows = np.cos(angles) * np.sqrt(2.0 / BLOCK)
    rows[0] /= np.sqrt(2.0)
    return rows.astype(np.float32)
