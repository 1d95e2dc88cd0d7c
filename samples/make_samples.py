"""Make the sample pictures from public-domain and CC0 photographs that every scikit-image wheel carries.

    python samples/make_samples.py

Nothing is downloaded, and the same seed gives the same pixels: the PNG files are exactly reproducible, the JPEG file
up to the version of the JPEG library. Where each photograph comes from is told in README.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from photonet.camera import blur
from photonet.camera.align import sampled
from photonet.camera.mosaic import BAYER, mosaic
from photonet.camera.sensor import add_shot_read, noise_at
from photonet.camera.unprocess import XYZ_TO_CAMERA, Camera, unprocess
from photonet.color import ColorState, srgb_decode, srgb_encode
from photonet.io import write
from photonet.photo import Photo, Sensor

SEED = 20240607
FOLDER = Path(__file__).parent
SOURCE_FOLDER = Path(skimage.__file__).parent / "data"

CAMERA_NOISE_RMS = 9.6  # 8-bit levels, all three channels: about 9 are left by JPEG; a small sensor at ISO 3200
LUMA_GRAIN_PX = 0.55  # Gaussian sigma of the grain that demosaicing and the camera's own denoising leave in luma
CHROMA_GRAIN_PX = 1.8  # and in chroma, where cameras smooth more: blotches
CHROMA_TO_LUMA = 1.2  # strength of each chroma channel against luma
SHADOW_SHARE = 0.35  # noise that stays in black, as a share of the noise in mid gray
JPEG_QUALITY = 92

RAW_SHOT_NOISE = 6e-3  # variance at white level 1: a small sensor at ISO 3200
RAW_WHITE_BALANCE = (2.0, 1.0, 1.7)

BURST_FRAMES, BURST_SIZE = 6, (440, 300)
BURST_SHIFT, BURST_TURN = 8.0, 0.006  # standard deviations: pixels, radians
BURST_NOISE_RMS = 18.0

SHAKE_EXTENT, SHAKE_POSES, SHAKE_NOISE = 12.0, 65, 1e-4  # pixels; samples of the path; shot variance at white level 1


@dataclass(frozen=True)
class Sample:
    """One pair of pictures to make.

    Args:
        source: file name in scikit-image's data folder.
        box: left, top, right, bottom of the part to keep, in pixels.
        noisy: file name of the noisy picture; the clean one drops `-noisy` and is a PNG in `clean/`.
        degrade: makes the noisy pixels (float64, 8-bit levels) from the clean ones.
    """

    source: str
    box: tuple[int, int, int, int]
    noisy: str
    degrade: Callable[[np.ndarray, np.random.Generator], np.ndarray]

    @property
    def clean(self) -> str:
        """File name of the clean picture."""
        return Path(self.noisy).stem.removesuffix("-noisy") + ".png"


def add_white_noise(sigma: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """White Gaussian noise of one strength everywhere, in 8-bit levels."""
    return lambda pixels, rng: pixels + rng.normal(0.0, sigma, pixels.shape)


def grain(shape: tuple[int, int], radius: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise with a grain size, of unit variance: H W."""
    field = gaussian_filter(rng.normal(size=shape), radius, mode="wrap")
    return field / field.std()


def add_camera_noise(pixels: np.ndarray, rng: np.random.Generator, rms: float = CAMERA_NOISE_RMS) -> np.ndarray:
    """What a camera's JPEG of a dark scene looks like: fine luma grain, coarse chroma blotches, both by brightness.

    Photon noise grows with the light, and the tone curve squeezes the highlights: after it, noise is strongest in the
    darker middle tones, weaker in black and weakest near white.

    Args:
        pixels: H W 3, sRGB-encoded, 8-bit levels.
        rng: source of the grain.
        rms: of the noise, in 8-bit levels.
    """
    height, width, _ = pixels.shape
    luma = grain((height, width), LUMA_GRAIN_PX, rng)
    blue = CHROMA_TO_LUMA * grain((height, width), CHROMA_GRAIN_PX, rng)
    red = CHROMA_TO_LUMA * grain((height, width), CHROMA_GRAIN_PX, rng)
    # Y'CbCr back to R'G'B' (ITU-T T.871, the JPEG File Interchange Format)
    noise = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=2)
    tone = gaussian_filter(pixels.mean(axis=2, keepdims=True), (1, 1, 0)) / 255.0
    # tone * (1 - tone)^2 peaks with 4/27 at one third
    noise *= SHADOW_SHARE + (1.0 - SHADOW_SHARE) * 6.75 * tone * (1.0 - tone) ** 2
    return pixels + noise * (rms / np.sqrt(np.mean(noise**2)))


SAMPLES = (
    Sample("chelsea.png", (0, 0, 448, 300), "cat-noisy.jpg", add_camera_noise),
    Sample("astronaut.png", (64, 0, 384, 320), "astronaut-noisy.png", add_white_noise(25.0)),
    Sample("camera.png", (0, 0, 512, 512), "camera-noisy.png", add_white_noise(15.0)),
)


def save(image: Image.Image, path: Path) -> None:
    """Write a PNG as small as it gets, or a JPEG with halved chroma as cameras do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        image.save(path, quality=JPEG_QUALITY, subsampling="4:2:0", optimize=True)
    else:
        image.save(path, optimize=True)


def make(sample: Sample, folder: Path, rng: np.random.Generator) -> None:
    """Write the clean and the noisy picture of one sample, and say how far apart they are."""
    clean = Image.open(SOURCE_FOLDER / sample.source).crop(sample.box)
    pixels = np.asarray(clean, dtype=np.float64)
    noisy = np.clip(np.rint(sample.degrade(pixels, rng)), 0, 255).astype(np.uint8)
    save(clean, folder / "clean" / sample.clean)
    save(Image.fromarray(noisy), folder / sample.noisy)
    stored = np.asarray(Image.open(folder / sample.noisy), dtype=np.float64)
    rms = float(np.sqrt(np.mean((stored - pixels) ** 2)))
    size = (folder / sample.noisy).stat().st_size + (folder / "clean" / sample.clean).stat().st_size
    print(
        f"{sample.noisy}: noise {rms:.2f}, PSNR {20 * np.log10(255 / rms):.2f} dB, {size / 1000:.0f} kB with its pair"
    )


def make_raw(source: str, path: Path, generator: torch.Generator) -> None:
    """Write a RAW file: a photograph unprocessed, as a Bayer sensor of high ISO speed records it.

    Args:
        source: file name in scikit-image's data folder.
        path: of the DNG.
        generator: source of the noise.
    """
    display = torch.from_numpy(np.array(Image.open(SOURCE_FOLDER / source).convert("RGB"))) / 255
    xyz_to_camera = np.array(XYZ_TO_CAMERA[0])
    noise = noise_at(RAW_SHOT_NOISE)
    levels = (noise.shot.item(), noise.read.item())
    sensor = Sensor(BAYER["RGGB"], np.zeros((2, 2)), 1.0, RAW_WHITE_BALANCE, xyz_to_camera, levels)
    camera = Camera(torch.tensor([RAW_WHITE_BALANCE]), torch.from_numpy(sensor.matrix).float()[None])
    light = unprocess(display.permute(2, 0, 1)[None], camera)
    recorded = add_shot_read(mosaic(light, sensor.cfa), noise, generator).clamp_max(1)
    write(Photo(recorded[0].permute(1, 2, 0).numpy(), ColorState.MOSAIC, sensor=sensor), path, overwrite=True)
    size = path.stat().st_size / 1000
    print(f"{path.name}: shot variance {levels[0]:.2g}, read variance {levels[1]:.2g}, {size:.0f} kB")


def make_burst(source: str, folder: Path, rng: np.random.Generator) -> None:
    """Write a handheld burst: a photograph shifted and turned a little from frame to frame, with a camera's noise.

    Args:
        source: file name in scikit-image's data folder.
        folder: gets the frames, and the clean first one as `clean/NAME.png` beside it.
        rng: source of motion and noise.
    """
    photograph = np.asarray(Image.open(SOURCE_FOLDER / source).convert("RGB"), dtype=np.float64)
    width, height = BURST_SIZE
    middle = np.array([photograph.shape[1], photograph.shape[0]]) / 2
    columns, rows = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    folder.mkdir(exist_ok=True)
    for number in range(BURST_FRAMES):
        turn, shift = (rng.normal(0, BURST_TURN), rng.normal(0, BURST_SHIFT, 2)) if number else (0.0, np.zeros(2))
        x = np.cos(turn) * columns - np.sin(turn) * rows + middle[0] + shift[0]
        y = np.sin(turn) * columns + np.cos(turn) * rows + middle[1] + shift[1]
        pixels = sampled(photograph, np.stack([x, y], 2))[0].astype(np.float64)
        if number == 0:
            save(Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)), FOLDER / "clean" / f"{folder.name}.png")
        noisy = np.clip(np.rint(add_camera_noise(pixels, rng, BURST_NOISE_RMS)), 0, 255).astype(np.uint8)
        save(Image.fromarray(noisy), folder / f"{number}.jpg")
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1000
    print(f"{folder.name}: {BURST_FRAMES} frames, noise about {BURST_NOISE_RMS:.0f}, {size:.0f} kB")


def make_shaken(sample: Sample, path: Path, generator: torch.Generator) -> None:
    """Write what a handheld camera makes of a long exposure: a photograph blurred in linear light, as JPEG.

    Args:
        sample: its photograph and its box; the clean picture is that of the sample.
        path: of the blurred picture.
        generator: source of motion and noise.
    """
    display = torch.from_numpy(np.array(Image.open(SOURCE_FOLDER / sample.source).convert("RGB"))) / 255
    light = srgb_decode(display.permute(2, 0, 1)[None])
    focal = torch.tensor([float(max(light.shape))])
    motion = blur.draw_path(torch.tensor([SHAKE_EXTENT]), focal, SHAKE_POSES, generator)
    blurred = blur.shaken(light, blur.homographies(motion, focal, (torch.tensor([light.shape[:-3:-1]]) - 1) / 2))
    shown = srgb_encode(add_shot_read(blurred, noise_at(SHAKE_NOISE), generator).clamp(0, 1))[0] * 255
    save(Image.fromarray(shown.round().byte().permute(1, 2, 0).numpy()).crop(sample.box), path)
    print(f"{path.name}: shaken by {SHAKE_EXTENT:g} px, {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Make every sample beside this script."""
    for index, sample in enumerate(SAMPLES):
        make(sample, FOLDER, np.random.default_rng([SEED, index]))
    make_raw("coffee.png", FOLDER / "coffee-noisy.dng", torch.Generator().manual_seed(SEED))
    make_burst("coffee.png", FOLDER / "coffee-burst", np.random.default_rng([SEED, len(SAMPLES)]))
    make_shaken(SAMPLES[1], FOLDER / "astronaut-shaken.jpg", torch.Generator().manual_seed(SEED))


if __name__ == "__main__":
    main()
