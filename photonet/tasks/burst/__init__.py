"""Burst: many noisy frames of one scene into one clean picture."""

from photonet.engine.task import Task, together
from photonet.tasks.burst import running
from photonet.tasks.burst.frames import arrange
from photonet.tasks.burst.networks import NETWORKS
from photonet.tasks.burst.options import BurstOptions, BurstTrials
from photonet.tasks.burst.trials import trials

SUMMARY = "Merge noisy frames of one scene into one clean picture."

TASK = Task(
    name="burst",
    summary=SUMMARY,
    options=BurstOptions,
    networks=NETWORKS,
    choose=running.choose,
    usual=running.usual,
    group=together,
    photos=(2, 32),
    arrange=arrange,
    prepare=running.prepare,
    trial_options=BurstTrials,
    trials=trials,
    pair_options={"reference": "0"},
    methods={name: {"method": name} for name in ("average", "hdrplus", "kpn")},
    raw_suffix=".dng",
    protocol="Mildenhall et al.: linear bursts with shifts of 2 px and the Poisson rule, told noise; PSNR after the "
    "sRGB curve, peak 1, clipped to 0..1, without a border of 8 px",
)
