# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that fit, and colours that stay apart for whoever looks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from plot_doubles import PATHS

from tracer.colours import STAGE_COLOURS
from tracer.correlate.stages import STAGES
from tracer.plot import style


def test_the_middle_of_a_long_name_goes() -> None:
    assert style.shortened("short", 5) == "short"
    assert style.shortened("abcdefghij", 7) == "abc…hij"


def test_every_stage_and_channel_has_a_colour() -> None:
    assert list(STAGE_COLOURS) == [*STAGES, "unexplained"]
    assert set(style.CHANNEL_COLOURS) == {"netlink", "getsockopt", "setsockopt", "notify", "peer"}


def test_the_pages_own_colours_are_no_others() -> None:
    own = {style.INK, style.MUTED, style.RULE, style.GROUND}
    assert len(own) == 4
    assert not own & {*STAGE_COLOURS.values(), *style.CHANNEL_COLOURS.values()}


# How the three kinds of colour-blindness see linear RGB (Machado, Oliveira, Fernandes 2009,
# severity 1), and how everybody does.
EYES = {
    "all": np.eye(3),
    "protan": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deutan": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritan": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


def linear(colour: str) -> np.ndarray:
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ rgb.clip(0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("path", PATHS)
def test_neighbouring_stages_are_told_apart(path: str, eye: str) -> None:
    seen = [lab(EYES[eye] @ linear(STAGE_COLOURS[stage])) for stage in PATHS[path]]
    apart = [float(np.linalg.norm(a - b)) for a, b in pairwise(seen)]
    assert min(apart) > 12, dict(zip(list(PATHS[path])[1:], apart, strict=True))


@pytest.mark.parametrize("ground", ["#ffffff", "#15181c"])
@pytest.mark.parametrize("channel", style.CHANNEL_COLOURS)
def test_channels_stand_out_on_either_ground(channel: str, ground: str) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    light = [float(weights @ linear(c)) for c in (style.CHANNEL_COLOURS[channel], ground)]
    assert (max(light) + 0.05) / (min(light) + 0.05) > 3
