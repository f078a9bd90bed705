"""How puppets are drawn: the shapes and colours of a figure, layer by layer, on the joints of its pose.

Every shape is a signed distance (negative inside, in units of the picture's side), which gives both the anti-aliased edge
and the soft shading. A whole clip is drawn at once: the joints of a pose, (T, 1, 1), are broadcast against the (H, W)
grid of pixels.
"""

import numpy as np
from numpy.typing import NDArray

from unbraid.data.sets.puppets.poses import GROUND, LEAP, STEPS, Distances, Points, Pose

__all__ = ["LAYERS", "backdrop", "draw_layer"]

Paint = tuple[Distances, str]

HEAD = 0.150
LIGHT = np.exp(-0.7j * np.pi)  # direction of the light: from above, a little from the left

WALL, FLOOR, HALO, SHADOW = "#f4e6d2", "#d9b491", "#cbe0da", "#7d5840"
SHOES, INK, WHITE, CORAL, BROWN = "#40302e", "#2d2430", "#fffaf2", "#e2553d", "#5b2b20"

SKINS = ("#ffe3d3", "#f0a070", "#a9663a", "#51301f", "#86c07c", "#a98fe3")
HATS = ("#d9432f", "#f4c142", "#3a62b0", "#332f40", "#3f9a68", "#f598b8")
# Colour, accent, half width at the hem, drop of the hem, share of the arm in the sleeve.
SHIRTS = (
    ("#f7ecdb", "#33496b", 0.100, 0.000, 0.78),
    ("#dd6440", "#f6c9a4", 0.095, -0.005, 0.45),
    ("#23938a", "#f6e3b4", 0.118, 0.022, 0.78),
    ("#edb13c", "#b5532f", 0.150, -0.005, 0.55),
    ("#74457f", "#c79ac4", 0.112, 0.005, 0.78),
    ("#7cb5de", "#fffaf2", 0.100, 0.000, 0.55),
)
# Colour, accent, share of the leg that is covered, half width at the knee and at the hem.
TROUSERS = (
    ("#4f7fb5", "#e7b565", 0.95, 0.044, 0.042),
    ("#ef7fa3", "#ef7fa3", 1.00, 0.042, 0.068),
    ("#e0902f", "#c2711f", 0.52, 0.056, 0.062),
    ("#8e2f44", "#8e2f44", 0.88, 0.060, 0.044),
    ("#fdf3e4", "#e3cfb2", 0.97, 0.048, 0.052),
    ("#2e2f4a", "#e9dcc6", 0.97, 0.045, 0.045),
)


# ---- shapes ---------------------------------------------------------------------------------------------


def _capsule(p: Points, a: Points | complex, b: Points | complex, start: float, end: float) -> Distances:
    """A rounded limb from a to b whose radius grows from `start` to `end`."""
    along = b - a
    share = np.clip(((p - a) * np.conj(along)).real / np.maximum(np.abs(along) ** 2, 1e-9), 0, 1)
    return np.abs(p - a - along * share) - (start + (end - start) * share)


def _ellipse(p: Points, centre: Points | complex, wide: float, high: float, angle: float = 0.0) -> Distances:
    """An ellipse with half axes `wide` and `high` (a first-order distance, exact at the edge)."""
    q = (p - centre) * np.exp(-1j * angle)
    near = np.hypot(q.real / wide, q.imag / high)
    slope = np.hypot(q.real / wide**2, q.imag / high**2)
    return near * (near - 1) / np.maximum(slope, 1e-6)


def _box(p: Points, centre: complex, wide: float, high: float, corner: float) -> Distances:
    """A rectangle with half sides `wide` and `high` and round corners."""
    q = p - centre
    over = np.abs(q.real) - wide + corner, np.abs(q.imag) - high + corner
    return (
        np.hypot(np.maximum(over[0], 0), np.maximum(over[1], 0)) + np.minimum(np.maximum(*over), 0) - corner
    )


# ---- clothes --------------------------------------------------------------------------------------------


def _skin_limbs(p: Points, pose: Pose, arms: list[int], colour: str) -> list[Paint]:
    made = []
    for shoulder, elbow, hand in (pose.arms[i] for i in arms):
        arm = np.minimum(_capsule(p, shoulder, elbow, 0.034, 0.032), _capsule(p, elbow, hand, 0.032, 0.032))
        made += [(np.minimum(arm, _ellipse(p, hand, 0.044, 0.044)), colour)]
    return made


def _sleeves(p: Points, pose: Pose, arms: list[int], shirt: int) -> list[Paint]:
    colour, accent, _, _, share = SHIRTS[shirt]
    made = []
    for shoulder, elbow, hand in (pose.arms[i] for i in arms):
        upper = min(1.0, share * 2)
        sleeve = _capsule(p, shoulder, shoulder + (elbow - shoulder) * upper, 0.044, 0.046)
        if share > 0.5:
            cuff = elbow + (hand - elbow) * (share * 2 - 1)
            sleeve = np.minimum(sleeve, _capsule(p, elbow, cuff, 0.046, 0.044))
        made.append((sleeve, accent if shirt == 5 else _mix(colour, INK, 0.08)))
        if shirt == 0:
            made.append((np.maximum(sleeve, np.abs(np.abs(p - shoulder) - 0.085) - 0.014), accent))
    return made


def _legs(p: Points, pose: Pose, colour: str) -> list[Paint]:
    made = []
    for index, (hip, knee, foot) in enumerate(pose.legs):
        leg = np.minimum(_capsule(p, hip, knee, 0.046, 0.038), _capsule(p, knee, foot, 0.038, 0.033))
        toe = foot + (0.050 if pose.side else 0.014 * (2 * index - 1)) + 0.004j
        shoe = _capsule(p, foot - (0.012 if pose.side else 0), toe, 0.034, 0.028 if pose.side else 0.036)
        made += [(leg, colour), (np.maximum(shoe, p.imag - foot.imag - 0.024), SHOES)]
    return made


def _trousers(p: Points, pose: Pose, variant: int) -> list[Paint]:
    colour, accent, share, middle, hem = TROUSERS[variant]
    made = []
    for hip, knee, foot in pose.legs:
        if share > 0.6:
            end = knee + (foot - knee) * (2 * share - 1)
            leg = np.minimum(_capsule(p, hip, knee, 0.054, middle), _capsule(p, knee, end, middle, hem))
            down = (foot - knee) / np.abs(foot - knee)
            cut = ((p - end) * np.conj(down)).real - 0.008
            leg = np.maximum(leg, cut)
        else:
            end = hip + (knee - hip) * 2 * share
            leg = _capsule(p, hip, end, 0.056, hem)
            cut = ((p - end) * np.conj((knee - hip) / np.abs(knee - hip))).real - 0.02
            leg = np.maximum(leg, cut)
        made.append((leg, colour))
        if accent != colour:
            made.append((np.maximum(leg, -cut - 0.022), accent))
    wide = 0.026 if pose.side else 0.050
    seat = _capsule(p, pose.hip - wide, pose.hip + wide, 0.060, 0.060)
    return [*made, (seat, colour)]


def _torso(p: Points, pose: Pose, shirt: int) -> list[Paint]:
    colour, accent, hem, drop, _ = SHIRTS[shirt]
    spine = (pose.chest - pose.hip) / np.abs(pose.chest - pose.hip)
    q = (p - pose.hip) * np.conj(spine) * -1j  # x to the figure's front, y down the spine, 0 at the hip
    narrow = 0.82 if pose.side else 1.0
    share = np.clip((q.imag + 0.165) / (0.185 + drop), 0, 1)
    half = (0.072 + (hem - 0.072) * share**0.8 + 0.012 * np.sin(np.pi * share)) * narrow
    body = np.maximum(np.abs(q.real) - half, np.maximum(-0.150 - q.imag, q.imag - 0.020 - drop))
    body = np.maximum(body, 0) + np.minimum(body, 0) - 0.012
    made = [(body, colour)]
    front = 0.045 if pose.side else 0.0
    if shirt == 0:
        stripes = np.abs((q.imag + 0.020) % 0.066 - 0.033) - 0.0165
        made.append((np.maximum(body, stripes), accent))
    elif shirt == 1:
        made.append((np.maximum(body, _ellipse(q, front - 0.065j, 0.044, 0.044)), accent))
    elif shirt == 2:
        made.append((np.maximum(body, np.abs(q.real - front) - 0.016), accent))
    elif shirt == 3:
        wave = 0.012 * np.abs((q.real * 14) % 2 - 1)
        made.append((np.maximum(body, np.abs(q.imag + 0.030 + wave) - 0.020), accent))
    elif shirt == 4:
        made.append((np.maximum(body, _box(q, front * 0.7 - 0.020j, 0.062, 0.026, 0.018)), accent))
    else:
        made.append((np.maximum(body, q.imag + 0.118), accent))
    return made


def _head(p: Points, pose: Pose, colour: str) -> list[Paint]:
    q = (p - pose.head) / pose.tilt / HEAD
    cheek = _mix(colour, CORAL, 0.30)
    shade = _mix(colour, BROWN, 0.22)
    if pose.side:
        made = [
            (_ellipse(q, 0, 0.98, 0.95), colour),
            (_ellipse(q, 0.98 + 0.16j, 0.25, 0.20), colour),
            (_ellipse(q, -0.18 + 0.16j, 0.17, 0.22), shade),
            (_ellipse(q, 0.50 + 0.42j, 0.20, 0.15), cheek),
            (_ellipse(q, 0.56 - 0.02j, 0.25, 0.31), WHITE),
            (_ellipse(q, 0.66 + 0.00j, 0.155, 0.21), INK),
            (_capsule(q, 0.62 + 0.60j, 0.82 + 0.52j, 0.045, 0.045), shade),
        ]
    else:
        made = [
            (np.minimum(_ellipse(q, -1.0 + 0.12j, 0.20, 0.22), _ellipse(q, 1.0 + 0.12j, 0.20, 0.22)), colour),
            (_ellipse(q, 0, 1.02, 0.95), colour),
            (
                np.minimum(_ellipse(q, -0.60 + 0.40j, 0.20, 0.15), _ellipse(q, 0.60 + 0.40j, 0.20, 0.15)),
                cheek,
            ),
            (np.minimum(_ellipse(q, -0.38 + 0.0j, 0.25, 0.31), _ellipse(q, 0.38 + 0.0j, 0.25, 0.31)), WHITE),
            (
                np.minimum(_ellipse(q, -0.34 + 0.03j, 0.155, 0.21), _ellipse(q, 0.34 + 0.03j, 0.155, 0.21)),
                INK,
            ),
            (_ellipse(q, 0.28j, 0.13, 0.10), shade),
            (np.maximum(np.abs(_ellipse(q, 0.46j, 0.26, 0.18)) - 0.045, 0.50 - q.imag), shade),
        ]
    return [(d * HEAD, paint) for d, paint in made]


def _hat(p: Points, pose: Pose, variant: int) -> list[Paint]:
    q = (p - pose.head) / pose.tilt / HEAD
    if pose.side:
        q = q * np.exp(0.12j) + 0.06
    colour = HATS[variant]
    dark, light = _mix(colour, INK, 0.25), _mix(colour, WHITE, 0.45)
    dome = np.maximum(_ellipse(q, 0.02j, 1.10, 1.06), q.imag + 0.30)
    brim = _capsule(q, -1.12 - 0.34j, 1.12 - 0.34j, 0.15, 0.15)
    if variant == 0:  # a bobble hat
        fold = _capsule(q, -0.92 - 0.40j, 0.92 - 0.40j, 0.19, 0.19)
        made = [(_ellipse(q, -1.20j, 0.30, 0.30), WHITE), (dome, colour), (fold, "#f9dfc6")]
    elif variant == 1:  # a straw hat
        crown = np.maximum(_ellipse(q, -0.40j, 0.80, 0.86), q.imag + 0.30)
        band = np.maximum(crown, np.abs(q.imag + 0.60) - 0.12)
        made = [(crown, colour), (band, "#a8503a"), (_ellipse(q, -0.36j, 1.62, 0.20), colour)]
    elif variant == 2:  # a wizard's hat
        cone = np.maximum(_capsule(q, -0.30j, -0.12 - 1.58j, 0.86, 0.06), q.imag + 0.30)
        made = [(cone, colour), (_ellipse(q, 0.05 - 0.85j, 0.19, 0.19), "#f6d77a"), (brim, dark)]
    elif variant == 3:  # a top hat
        made = [
            (_box(q, -0.85j, 0.72, 0.60, 0.14), colour),
            (_box(q, -0.56j, 0.72, 0.14, 0.02), "#d8584a"),
            (brim, colour),
        ]
    elif variant == 4:  # a sprout
        leaves = np.minimum(
            _ellipse(q, -0.42 - 1.30j, 0.48, 0.22, 0.45), _ellipse(q, 0.42 - 1.30j, 0.48, 0.22, -0.45)
        )
        stem = _capsule(q, -1.0j, -1.25j, 0.09, 0.07)
        made = [(stem, dark), (leaves, _mix(colour, "#cfe36b", 0.5)), (dome, colour)]
    else:  # a hood with round ears
        ears = (-0.70 - 0.86j, 0.62 - 0.90j)
        made = [(_ellipse(q, ear, 0.36, 0.36), colour) for ear in ears]
        made += [(_ellipse(q, ear, 0.19, 0.19), light) for ear in ears]
        made += [(dome, colour)]
    return [(d * HEAD, paint) for d, paint in made]


# ---- painting -------------------------------------------------------------------------------------------

# From back to front: the attribute that decides the variant of a layer, and the part of the figure that it draws.
LAYERS: tuple[tuple[str, str], ...] = (
    ("skin", "far arm"),
    ("shirt", "far sleeve"),
    ("skin", "legs"),
    ("trousers", "trousers"),
    ("shirt", "torso"),
    ("skin", "head"),
    ("hat", "hat"),
    ("skin", "near arms"),
    ("shirt", "near sleeves"),
)


def _rgb(colour: str) -> NDArray[np.float32]:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def _mix(colour: str, other: str, share: float) -> str:
    mixed = (1 - share) * _rgb(colour) + share * _rgb(other)
    return "#" + "".join(f"{round(float(channel) * 255):02x}" for channel in mixed)


def _grid(size: int, mirrored: bool = False) -> Points:
    centres = (np.arange(size) + 0.5) / size
    across = centres[::-1] if mirrored else centres
    return (across[None, :] + 1j * centres[:, None]).astype(np.complex64)


def _cover(d: Distances, size: int) -> NDArray[np.float32]:
    return np.clip(0.5 - d * size, 0, 1).astype(np.float32)


def draw_layer(pose: Pose, part: str, variant: int, size: int) -> NDArray[np.float32]:
    """Draw one part of a clip's figure in one variant.

    Args:
        pose: the joints.
        part: of the figure, one of `LAYERS`.
        variant: class number of the attribute.
        size: side of the frames in pixels.

    Returns:
        (T, 4, H, W) in [0, 1]: three colours times opacity, then opacity.
    """
    p = _grid(size, pose.mirrored)
    far, near = ([0], [1]) if pose.side else ([], [0, 1])
    if part in ("far arm", "near arms"):
        paints = _skin_limbs(p, pose, far if part == "far arm" else near, SKINS[variant])
    elif part in ("far sleeve", "near sleeves"):
        paints = _sleeves(p, pose, far if part == "far sleeve" else near, variant)
    elif part == "legs":
        paints = _legs(p, pose, SKINS[variant])
    elif part == "head":
        paints = _head(p, pose, SKINS[variant])
    else:
        paints = {"trousers": _trousers, "torso": _torso, "hat": _hat}[part](p, pose, variant)
    layer = np.zeros((STEPS, 4, size, size), np.float32)
    for d, colour in paints:
        cover = _cover(d, size)[:, None]
        down, right = np.gradient(d * size, axis=(1, 2))
        lit = (right * LIGHT.real + down * LIGHT.imag) * np.exp(np.minimum(d, 0) / 0.022)
        shaded = np.clip(_rgb(colour)[:, None, None] * (1 + 0.13 * lit[:, None]), 0, 1)
        layer *= 1 - cover
        layer[:, :3] += cover * shaded
        layer[:, 3:] += cover
    return layer


def backdrop(pose: Pose, size: int) -> NDArray[np.float32]:
    """The wall, the floor and the figure's shadow: (T, 3, H, W) in [0, 1]."""
    p = _grid(size, pose.mirrored)
    picture = np.broadcast_to(_rgb(WALL)[:, None, None], (STEPS, 3, size, size)).copy()
    centre = pose.hip.real + 1j * GROUND
    rise = pose.height / LEAP
    shadow = np.abs(((p - centre).real / (0.215 - 0.05 * rise)) + 1j * (p - centre).imag / 0.042)
    for cover, colour in (
        (_cover(np.broadcast_to(_ellipse(p, 0.5 + 0.47j, 0.43, 0.43), (STEPS, size, size)), size), HALO),
        (_cover(np.broadcast_to(0.80 - p.imag, (STEPS, size, size)), size), FLOOR),
        (np.clip(1.25 - shadow, 0, 1) * (0.75 - 0.30 * rise), SHADOW),
    ):
        share = np.asarray(cover, np.float32)[:, None]
        picture = picture * (1 - share) + share * _rgb(colour)[:, None, None]
    return picture
