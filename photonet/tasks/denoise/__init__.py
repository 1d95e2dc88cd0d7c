"""Denoising: display pictures, and RAW pictures before their development."""

from collections.abc import Sequence

from photonet.camera.sensor import SHOT_LEVELS
from photonet.color import ColorState
from photonet.engine.bayer import is_bayer
from photonet.engine.task import Network, Prepared, Runner, Task
from photonet.engine.trial import Trial
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks.denoise import display, raw, raw_networks
from photonet.tasks.denoise.classical import classical_denoisers
from photonet.tasks.denoise.options import DenoiseOptions, DenoiseTrials

SUMMARY = "Remove noise from photographs, as much as there is."


def choose(photos: Sequence[Photo], options: DenoiseOptions) -> str:
    """Bayer mosaics as they are; X-Trans and linear DNGs as camera RGB, by the network for display pictures."""
    return "raw-unet" if is_bayer(photos[0]) else "unet"


def prepare(photos: Sequence[Photo], options: DenoiseOptions, runner: Runner) -> Prepared:
    """The noise of the picture, once; then windows of picture and map."""
    return (raw if runner.network in raw_networks.DOMAINS else display).prepare(photos, options, runner)


def trials(options: DenoiseTrials, network: Network) -> list[Trial]:
    """The conditions that `photonet eval denoise` measures; networks for mosaics know only RAW."""
    if options.raw or network.expects == ColorState.MOSAIC:
        return [raw_networks.raw_trial(name, shot, options.told) for name, shot in SHOT_LEVELS.items()]
    try:
        sigmas = [float(text) for text in options.sigma.split(",") if text.strip()]
    except ValueError:
        raise UsageError(f"{options.sigma!r} is not a list of numbers", "--sigma", "write 15,25,50") from None
    found = [display.gaussian_trial(sigma, {"sigma": sigma} if options.told else {}) for sigma in sigmas]
    return found + [display.camera_trial(*item) for item in display.CAMERA_LEVELS.items() if options.camera]


TASK = Task(
    name="denoise",
    summary=SUMMARY,
    options=DenoiseOptions,
    networks={
        "unet": display.UNET,
        "dncnn-color": display.dncnn(3, 20, "DnCNN, blind, color"),
        "dncnn-gray": display.dncnn(1, 17, "DnCNN, one noise level (25), gray"),
        "raw-unet": raw_networks.RAW_UNET,
        "raw-brooks": raw_networks.RAW_BROOKS,
        "noise-level": display.NOISE_LEVEL,
    },
    choose=choose,
    prepare=prepare,
    trial_options=DenoiseTrials,
    trials=trials,
    baselines=classical_denoisers,
    judge=display.judge,
    raw_suffix=".dng",
    protocol="RGB PSNR, peak 1, output clipped to 0..1, no border; SSIM with a Gaussian window, 11 and sigma 1.5; "
    "RAW is shown by `photonet develop`, and where it says so measured as mosaic, not clipped",
)
