"""Where the pixels of a handheld burst's reference lie in its other frames, to a fraction of a pixel.

One homography for all of a frame, found coarse to fine, holds the hand's shift, rotation and tilt; tiles that something
nearer or moving fills get a shift of their own where that fits clearly better, and only there: the noise of a flat wall
must not be aligned.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SMALLEST = 24  # pixels of the shorter side: less cannot be aligned
COARSEST = 120  # pixels of the shorter side where the search begins
ROUNDS, PRECISION, BLUR = 60, 1e-6, 5  # of each level of the search: most steps, least gain, pixels
MUCH_BLUR = 15  # pixels, where the search finds nothing for noise
LEAST_CORRELATION = 0.5  # of two frames of one scene, once aligned
LEAST_BLURRED = 0.8  # the same of very noisy frames, once blurred; different scenes are too bright at the top alike
STRONG_BLUR = 6.0  # pixels
NOISE_ALONE = 2.0  # times the expected squared difference of blurred noise that may be it
TILE = 16  # pixels
SMOOTH = 2.0  # pixels, of the blur under which tiles are compared
CLEARLY = 0.5  # share of a tile's squared difference that its own shift may leave
MOST_SHIFT = 0.15  # of the longer side, at any corner
CLEAR_GAIN = 30.0  # of the logarithm of the likelihood, from which on a homography is better than shift and rotation
STEPS = 32  # places between two pixels that OpenCV tells apart
REPLICATE = cv2.BORDER_REPLICATE
UNLIKE = 9.0  # times the median squared difference of the tiles: more is not noise
SOME_TILES, MOST_TILES = 0.01, 0.5  # shares of unlike tiles between which the others alone are aligned
INVISIBLE = 1e-6  # squared difference of tiles, brightness between 0 and 1, that nobody sees
MOST_OFFSET = 8.0  # pixels of a tile beyond the homography


@dataclass(frozen=True)
class Motion:
    """Where a frame shows what each pixel of the reference shows.

    Args:
        homography: 3 3, pixel (x, y, 1) of the reduced reference → of the reduced frame; centers are integers.
        offsets: h w 2, a further (x, y) in the middle of each tile of the reduced reference.
        size: height and width of the reduced pictures.
        correlation: of the reduced frame, aligned by the homography, and the reference.
        unlike: share of the tiles that differ from the reference more than noise explains.
        factor: pixels of the pictures themselves per reduced pixel and side.
    """

    homography: np.ndarray
    offsets: np.ndarray
    size: tuple[int, int]
    correlation: float
    unlike: float
    factor: int = 1

    @property
    def shift(self) -> float:
        """Median distance in pixels."""
        height, width = (side * self.factor for side in self.size)
        x, y = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9))
        found = self.at(x, y)
        return float(np.median(np.hypot(found[..., 0] - x, found[..., 1] - y)))

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Places in the frame, h w 2 as (x, y), of places in the reference, h w each, float64."""
        u, v = ((place + 0.5) / self.factor - 0.5 for place in (x, y))
        a, b, c = (row[0] * u + row[1] * v + row[2] for row in self.homography)
        found = np.stack([a / c, b / c], 2)
        if self.offsets.any():
            rows, columns = self.offsets.shape[:2]
            tile = self.size[0] / rows, self.size[1] / columns
            found += _between(self.offsets, (u + 0.5) / tile[1] - 0.5, (v + 0.5) / tile[0] - 0.5)
        return (found + 0.5) * self.factor - 0.5


def _between(grid: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """A grid h w C, interpolated bilinearly at places H W each; replicated beyond its borders."""
    last = np.array(grid.shape[:2]) - 1
    row, column = row.clip(0, last[0]), column.clip(0, last[1])
    top, left = row.astype(int), column.astype(int)
    down, right = np.minimum(top + 1, last[0]), np.minimum(left + 1, last[1])
    y, x = (row - top)[..., None], (column - left)[..., None]
    upper = grid[top, left] * (1 - x) + grid[top, right] * x
    lower = grid[down, left] * (1 - x) + grid[down, right] * x
    result: np.ndarray = upper * (1 - y) + lower * y
    return result


def sampled(pixels: np.ndarray, places: np.ndarray, period: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """What a picture shows between its pixels, by cubic interpolation, and where it shows anything.

    Args:
        pixels: H W C of any depth.
        places: h w 2 as (x, y), of pixels whose rows and columns begin at multiples of the period; they are rounded to
            1/32 of the period, so that a place gives the same values whatever is sampled with it.
        period: of the filter array, for mosaics: a site is interpolated between those of its own color.

    Returns:
        h w C float32 on the scale of the pixels, replicated beyond the borders; h w bool.
    """
    height, width = pixels.shape[:2]
    values = np.empty((*places.shape[:2], pixels.shape[2]), np.float32)
    for i in range(period):
        for j in range(period):
            own = (places[i::period, j::period] - (j, i)) / period
            if own.size:
                values[i::period, j::period] = _cubic(pixels[i::period, j::period], own)
    x, y = places.transpose(2, 0, 1)
    return values, (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)


def _cubic(pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    fine = np.round(places * STEPS) / STEPS
    low = np.floor(fine.min((0, 1))).astype(int) - 2
    high = np.ceil(fine.max((0, 1))).astype(int) + 3
    left, right = np.clip((low[0], high[0]), (0, 1), (width - 1, width))
    top, bottom = np.clip((low[1], high[1]), (0, 1), (height - 1, height))
    part = np.ascontiguousarray(pixels[top:bottom, left:right], np.float32)
    x, y = (fine - (left, top)).astype(np.float32).transpose(2, 0, 1)
    shown = cv2.remap(part, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_CUBIC, None, REPLICATE)
    return shown.reshape(*places.shape[:2], pixels.shape[2])


def find_motion(reference: np.ndarray, frame: np.ndarray, factor: int = 1) -> Motion | None:
    """The motion between two frames; None where they do not show the same scene. Very small ones are taken for still.

    Args:
        reference, frame: H W, float32, brightness on any scale.
        factor: by which they have been reduced.

    Source: Evangelidis and Psarakis, "Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization",
    TPAMI 2008; Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016; both OpenCV's.
    """
    if min(reference.shape) < SMALLEST:
        return Motion(np.eye(3), np.zeros((1, 1, 2)), reference.shape, 1.0, 0.0, factor)
    found = _homography(reference, frame)
    if found is None:
        return None
    matrix, correlation = found
    offsets, unlike = _offsets(reference, frame, matrix)
    return Motion(matrix, offsets, reference.shape, correlation, unlike, factor)


def _homography(reference: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Shift and rotation, coarse to fine; then a homography where that correlates clearly better, noise considered."""
    steps = max(int(np.log2(min(reference.shape) / COARSEST)), 0)
    matrix, correlation = np.eye(3), 0.0
    for power in range(steps, -1, -1):
        small, other = (_reduced(picture, 2**power) for picture in (reference, frame))
        inward = _scaling(2**-power)
        start = inward @ matrix @ np.linalg.inv(inward)
        if power == steps:
            start[:2, 2] += _phase_shift(small, other)
        model = cv2.MOTION_EUCLIDEAN
        found = _refined(small, other, start, model) or _refined(small, other, start, model, blur=MUCH_BLUR)
        if found is None and power == steps:
            return None
        if found is not None:  # else a coarser level must do
            matrix, correlation = np.linalg.inv(inward) @ found[0] @ inward, found[1]
    seen = _seen_alike(reference, frame, matrix)
    if seen is not None:  # what moves by itself must not draw all the rest with it
        still = _refined(reference, frame, matrix, cv2.MOTION_EUCLIDEAN, seen)
        matrix, correlation = still or (matrix, correlation)
    freer = _refined(reference, frame, matrix, cv2.MOTION_HOMOGRAPHY, seen)
    if freer is not None:
        unlikelier = (1 - correlation**2) / max(1 - freer[1] ** 2, 1e-9)
        if reference.size / 2 * np.log(max(unlikelier, 1e-9)) > CLEAR_GAIN and _plausible(freer[0], reference.shape):
            matrix, correlation = freer
    alike = correlation >= LEAST_CORRELATION or _alike_but_for_noise(reference, frame, matrix)
    return (matrix, correlation) if alike and _plausible(matrix, reference.shape) else None


def _alike_but_for_noise(reference: np.ndarray, frame: np.ndarray, matrix: np.ndarray) -> bool:
    """Whether very noisy frames show one scene: blurred, they correlate, or differ by noise only."""
    smooth = [cv2.GaussianBlur(p, (0, 0), STRONG_BLUR)[::4, ::4].ravel() for p in (reference, _warped(frame, matrix))]
    if np.corrcoef(smooth[0], smooth[1])[0, 1] >= LEAST_BLURRED:
        return True
    deviation = np.median(np.abs(np.diff(reference, axis=1))) / 0.6745 / 2**0.5  # of white noise
    expected = 2 * deviation**2 / (4 * np.pi * STRONG_BLUR**2)
    return bool(np.square(smooth[0] - smooth[1]).mean() <= NOISE_ALONE * expected)


def _seen_alike(reference: np.ndarray, frame: np.ndarray, matrix: np.ndarray) -> np.ndarray | None:
    """Mask, uint8, of the frame's pixels that show what the reference shows; None where nearly all of them do."""
    height, width = reference.shape
    shape = (max(round(width / TILE), 1), max(round(height / TILE), 1))
    unlike = _unlike(
        reference, _tile_errors(reference, _warped(frame, matrix), shape), _visible(matrix, reference, shape)
    )
    if not SOME_TILES < unlike.mean() < MOST_TILES:
        return None
    alike = cv2.resize((~unlike).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.warpPerspective(alike, matrix, (width, height), flags=cv2.INTER_NEAREST), np.uint8)


def _warped(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A frame as the reference sees it."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(frame, matrix, frame.shape[1::-1], flags=flags, borderMode=REPLICATE))


def _refined(
    reference: np.ndarray,
    frame: np.ndarray,
    start: np.ndarray,
    model: int,
    mask: np.ndarray | None = None,
    blur: int = BLUR,
) -> tuple[np.ndarray, float] | None:
    """The best matrix of a kind near another, and its correlation; None where the pictures have nothing in common."""
    begin = (start if model == cv2.MOTION_HOMOGRAPHY else start[:2]).astype(np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ROUNDS, PRECISION)
    try:
        correlation, better = cv2.findTransformECC(reference, frame, begin, model, stop, mask, blur)  # type: ignore[arg-type]
    except cv2.error:
        return None
    matrix = np.eye(3)
    matrix[: len(better)] = better
    return matrix, float(correlation)


def _plausible(matrix: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether no corner moves further than a hand does."""
    corners = np.array([[0, shape[1] - 1, 0, shape[1] - 1], [0, 0, shape[0] - 1, shape[0] - 1], [1, 1, 1, 1]], float)
    moved = matrix @ corners
    distance = np.abs(moved[:2] / moved[2] - corners[:2])
    return bool(np.isfinite(distance).all() and distance.max() <= MOST_SHIFT * max(shape))


def _phase_shift(small: np.ndarray, other: np.ndarray) -> np.ndarray:
    window = cv2.createHanningWindow(small.shape[::-1], cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(small.copy(), other.copy(), window)  # it may overwrite what it is given
    return np.array(shift) if np.abs(shift).max() <= MOST_SHIFT * max(small.shape) else np.zeros(2)


def _offsets(reference: np.ndarray, frame: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """What single tiles move beyond the homography, and the share of tiles that are unlike all the same."""
    height, width = reference.shape
    aligned = _warped(frame, matrix)
    low, high = np.percentile(reference[::4, ::4], (0.5, 99.5))
    eights = [((p - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8) for p in (reference, aligned)]
    flow = flow_between(*eights)
    shape = (max(round(width / TILE), 1), max(round(height / TILE), 1))
    tiles = cv2.medianBlur(cv2.resize(flow, shape, interpolation=cv2.INTER_AREA), 3)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    local = cv2.resize(tiles, (width, height), interpolation=cv2.INTER_LINEAR)
    moved = cv2.remap(aligned, x + local[..., 0], y + local[..., 1], cv2.INTER_LINEAR, None, REPLICATE)
    plain, own = (_tile_errors(reference, other, shape) for other in (aligned, moved))
    better = (np.abs(tiles).max(2) <= MOST_OFFSET) & (own < CLEARLY * plain)
    left = np.where(better, own, plain)
    return tiles * better[..., None], float(_unlike(reference, left, _visible(matrix, reference, shape)).mean())


def flow_between(reference: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Dense flow H W 2 of gray uint8 pictures: what is at (x, y) in the reference is at (x, y) + flow in the frame."""
    if reference.shape[1] > reference.shape[0]:  # it chooses its pyramid by the width, and crashes on low pictures
        return flow_between(np.ascontiguousarray(reference.T), np.ascontiguousarray(frame.T)).transpose(1, 0, 2)[
            ..., ::-1
        ]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(search.calc(reference, frame, None))  # type: ignore[call-overload]


def _visible(matrix: np.ndarray, reference: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Tiles that the frame shows all of, h w bool."""
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    shown = cv2.warpPerspective(np.ones_like(reference), matrix, reference.shape[::-1], flags=flags)
    return np.asarray(_by_tile(shown, shape) > 0.999)


def _unlike(reference: np.ndarray, errors: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Visible tiles whose squared difference neither noise explains nor a shift by a pixel, h w bool."""
    smooth = cv2.GaussianBlur(reference, (0, 0), SMOOTH)
    slope = (
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8) ** 2 + cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8) ** 2
    )
    low, high = np.percentile(reference[::4, ::4], (0.5, 99.5))
    noise = max(float(np.median(errors)), INVISIBLE * float(high - low) ** 2)
    result: np.ndarray = visible & (errors > UNLIKE * noise + _by_tile(slope, errors.shape[::-1]))
    return result


def _by_tile(squares: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Mean of each tile and those around it."""
    return np.asarray(cv2.blur(cv2.resize(squares, shape, interpolation=cv2.INTER_AREA), (3, 3)))


def _tile_errors(reference: np.ndarray, other: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Mean squared difference of each tile and those around it, of what is left when noise is blurred away."""
    difference = cv2.GaussianBlur(other - reference, (0, 0), SMOOTH)
    return _by_tile(np.square(difference), shape)


def _reduced(picture: np.ndarray, factor: int) -> np.ndarray:
    size = (picture.shape[1] // factor, picture.shape[0] // factor)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if factor > 1 else picture


def _scaling(factor: float) -> np.ndarray:
    """Pixel of a picture → pixel of the one that is `factor` times as large, whose centers are integers too."""
    return np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1.0]])
