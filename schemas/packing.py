"""Small messages in a few hundred bytes: zstd with a trained dictionary that both ends have.

A dictionary is a versioned file, `dictionaries/live_N.dict`; the frame names the one that it needs.
Once a gateway may use it, it is never changed or removed. `python -m benchmarks.train_dictionary` makes
the next one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import zstandard

from schemas.errors import BadInput

LIVE_DICTIONARY: Final = 1
FOLDER: Final = Path(__file__).parent / "dictionaries"
_LEVEL: Final = 19  # a kilobyte: what a level costs does not matter here


def pack(data: bytes, dictionary_id: int = LIVE_DICTIONARY) -> bytes:
    """Bytes → a zstd frame that names its dictionary.

    Raises:
        BadInput: There is no such dictionary.
    """
    compressor = zstandard.ZstdCompressor(
        level=_LEVEL, dict_data=_dictionary(dictionary_id), write_content_size=True, write_checksum=False
    )
    return compressor.compress(data)


def unpack(frame: bytes, most: int) -> bytes:
    """The inverse of `pack`, of bytes from anywhere.

    Args:
        most: Bytes that it may unfold to.

    Raises:
        BadInput: Not such a frame, an unknown dictionary, or more than `most`.
    """
    try:
        parameters = zstandard.get_frame_parameters(frame)
        # The frame's own size wins over max_output_size: a bomb must be stopped here.
        if parameters.content_size > most:
            raise BadInput(f"packed envelope unfolds to {parameters.content_size} bytes, limit {most}")
        decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary(parameters.dict_id))
        return decompressor.decompress(frame, max_output_size=most, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadInput(f"packed envelope does not unfold: {error}") from error


def _dictionary(dictionary_id: int) -> zstandard.ZstdCompressionDict:
    if dictionary_id not in _known():
        raise BadInput(f"dictionary_id is {dictionary_id}, known dictionaries: {sorted(_known())}")
    return _load(dictionary_id)


@cache
def _known() -> frozenset[int]:
    return frozenset(int(path.stem.removeprefix("live_")) for path in FOLDER.glob("live_*.dict"))


@cache
def _load(dictionary_id: int) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict((FOLDER / f"live_{dictionary_id}.dict").read_bytes())
