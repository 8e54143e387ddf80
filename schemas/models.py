"""Names of model versions: which family and tier a score's `model_version` is of."""

from __future__ import annotations

from typing import Final, Literal

Tier = Literal["small", "large"]
# Families that have a large model, which looks again at what the small one selects.
LARGE_FAMILIES: Final = ("sound",)
UNSCORED: Final = "unscored"  # in the place of a version: the reading's model failed


def line_of(family: str, tier: Tier = "small") -> str:
    """What versions are versions of.

    >>> line_of("sound"), line_of("sound", "large")
    ('sound', 'sound_large')
    """
    return family if tier == "small" else f"{family}_{tier}"


def is_large(family: str, model_version: str) -> bool:
    """Was a score of this family said by its large model?

    >>> is_large("sound", "sound_large-1"), is_large("sound", "sound-1"), is_large("sound", "device")
    (True, False, False)
    """
    return model_version.startswith(f"{line_of(family, 'large')}-")
