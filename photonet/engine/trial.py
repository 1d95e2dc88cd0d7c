"""The conditions that a task is scored under."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from photonet.photo import Photo

Picture = np.ndarray | Photo
Spoiled = Picture | list[Photo]


@dataclass(frozen=True)
class Trial:
    """One condition that a task is scored under.

    Args:
        name: "sigma 25".
        degrade: clean picture H W C in 0 to 1 and its number (the seed) → the input, or several for tasks that merge;
            and what it is measured against, where that is not the clean picture itself. Each as float32 pixels like the
            clean ones, or as a Photo.
        options: of the run, beside those of the user.
        through: of a way there and back: the result → the input of a second run, whose result is what counts.
        back: options of that second run.
        view: photo and number of the picture → pixels that are compared, H W C in 0 to 1; by default those of its
            development.
        rivals: name → other ways to do it, from the input, that know what only this trial knows.
        slack: pixels by which a result may be shifted against the clean picture: the best shift counts.
        developed: of RAW pictures, measure beside it what the task makes of the developed one.
        elsewhere: other tasks by name, and options that they run with on the first photo, to be measured beside it.
    """

    name: str
    degrade: Callable[[np.ndarray, int], Spoiled | tuple[Spoiled, Picture]]
    options: Mapping[str, Any] = field(default_factory=dict)
    through: Callable[[Photo], Photo] | None = None
    back: Mapping[str, Any] = field(default_factory=dict)
    view: Callable[[Photo, int], np.ndarray] | None = None
    rivals: Mapping[str, Callable[[Photo], Photo]] = field(default_factory=dict)
    slack: int = 0
    developed: bool = False
    elsewhere: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


Judge = Callable[[Mapping[str, Any], np.ndarray, np.ndarray], Mapping[str, float]]
Baseline = Callable[[np.ndarray, np.ndarray], np.ndarray]  # degraded, clean (for what an oracle knows) → result
