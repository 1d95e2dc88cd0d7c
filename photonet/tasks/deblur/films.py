"""Blurred and sharp pictures from films: neighboring frames, and the motion between them, are one long exposure."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch

from photonet.camera.align import flow_between
from photonet.camera.blur import film_exposed
from photonet.color import srgb_decode, srgb_encode
from photonet.engine.data import Example, Source, read_pictures
from photonet.engine.task import Network
from photonet.io import FILM_SUFFIXES, read_frames

EXPOSED = (3, 5, 7)  # frames of an exposure, in turn
EVERY = 8  # frames from one exposure to the next
LARGEST = 700  # pixels of the longer side: halved until then, which hides the film's own compression
LEAST_MOTION, MOST_MOTION = 1.0, 40.0  # pixels in all, of the fastest twentieth
MOST_STEP = 8.0  # pixels from frame to frame: a frame is blurred itself, by about half of that
MOST_UNEXPLAINED = 12.0  # mean absolute difference of frames after the motion, 0 to 255: more is a cut


def sample(source: Source, network: Network) -> Example | Iterable[Example]:
    """A clean picture, a pair, or all the exposures of a film that moves, as `blurred` and `target`."""
    film = source.files[0].suffix.lower() in FILM_SUFFIXES
    return exposures(source.files[0]) if film else read_pictures(source, network)


def exposures(path: Path) -> Iterator[Example]:
    """`blurred` and sharp `target` H W 3, uint8, sRGB, one after another; none where nothing moves.

    The target is one frame, with the blur of its own exposure.
    """
    waiting: deque[np.ndarray] = deque(maxlen=max(EXPOSED))
    for number, frame in enumerate(read_frames(path)):
        while max(frame.shape) > LARGEST:
            frame = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        waiting.append(frame)
        count = EXPOSED[number // EVERY % len(EXPOSED)]
        if number % EVERY == EVERY - 1 and len(waiting) >= count:
            blurred = exposure(list(waiting)[-count:])
            if blurred is not None:
                yield {"blurred": blurred, "target": waiting[-1 - count // 2]}


def exposure(frames: Sequence[np.ndarray]) -> np.ndarray | None:
    """The mean light of frames H W 3, uint8, and of what lies between them; None for a cut, or without motion."""
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    flows = np.stack([flow_between(first, second) for first, second in pairwise(gray)])
    lengths = np.percentile(np.hypot(flows[..., 0], flows[..., 1]), 95, axis=(1, 2))
    if (
        not LEAST_MOTION <= lengths.sum() <= MOST_MOTION
        or lengths.max() > MOST_STEP
        or _unexplained(gray, flows) > MOST_UNEXPLAINED
    ):
        return None
    between = max(1, int(np.ceil(lengths.max())))
    light = srgb_decode(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 255)
    recorded = film_exposed(light, torch.from_numpy(flows).permute(0, 3, 1, 2), between)
    shown: np.ndarray = (srgb_encode(recorded[0]).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    return shown


def _unexplained(gray: Sequence[np.ndarray], flows: np.ndarray) -> float:
    """The largest mean difference of neighboring frames that their motion does not explain."""
    height, width = gray[0].shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return max(
        float(
            cv2.absdiff(
                first,
                cv2.remap(second, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE),
            ).mean()
        )
        for (first, second), flow in zip(pairwise(gray), flows, strict=True)
    )
