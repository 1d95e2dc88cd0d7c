"""An ISP that runs backwards: RAW becomes a JPEG that can be turned into RAW again."""

from photonet.engine.task import Network, Task, Tiling
from photonet.nets.invertible import InvertibleIsp
from photonet.tasks.isp.options import IspOptions, IspTraining, IspTrials
from photonet.tasks.isp.running import NAME, prepare
from photonet.tasks.isp.training import make_pair, two_way_loss, two_way_score
from photonet.tasks.isp.trials import trials

SUMMARY = "Render RAW files as JPEGs that can be turned back into RAW."


def flow(summary: str, steps: int, growth: int, squeeze: int) -> Network:
    """The published flow, of any size."""
    return Network(
        summary=summary,
        build=lambda config: InvertibleIsp(**config),
        config={"steps": steps, "growth": growth, "squeeze": squeeze},
        tiling=lambda net: Tiling(net.squeeze, net.radius, bytes_per_pixel=70 + 16 * growth // squeeze**2),
        pairs=False,
        exact=True,
        training=IspTraining,
        pair=make_pair,
        loss=two_way_loss,
        score=two_way_score,
    )


TASK = Task(
    name=NAME,
    summary=SUMMARY,
    options=IspOptions,
    networks={
        "squeezed": flow("invertible ISP of Xing et al. at a quarter of the resolution", 4, 24, 4),
        "published": flow("invertible ISP of Xing et al. at its published size", 8, 32, 1),
    },
    prepare=prepare,
    trial_options=IspTrials,
    trials=trials,
    raw_suffix=".jpg",
    blends=False,
    protocol="PSNR of balanced camera RGB, gamma 2.2, peak 1, no border; of the rendering in sRGB",
)
