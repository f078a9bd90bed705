"""The poses of the puppets: the places of a figure's joints in each step of each motion.

The picture is a unit square with y pointing down. Points and vectors are complex numbers, so multiplying by `exp(i angle)`
turns them. A limb that hangs straight down has the angle 0; the angle grows in the direction that the figure faces (to the
right of the picture when it faces the viewer). A figure that faces left is the mirror image of one that faces right.
Joints have the shape (T, 1, 1), to be broadcast against the (H, W) grid of pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUND", "LEAP", "STEPS", "Distances", "Points", "Pose", "pose"]

Points = NDArray[np.complex64]
Distances = NDArray[np.float32]
Joints = tuple[Points, Points, Points]
Angles = tuple[np.ndarray, np.ndarray]

STEPS = 8
GROUND, LEAP = 0.925, 0.09
SOLE = 0.022
THIGH, SHIN, UPPER_ARM, FOREARM = 0.115, 0.112, 0.108, 0.105


@dataclass(frozen=True)
class Pose:
    """The joints of one clip, each (T, 1, 1). Limbs are listed from the body outwards; of a pair, the far one first."""

    side: bool
    mirrored: bool
    hip: Points
    chest: Points
    head: Points
    tilt: Points
    height: Distances
    arms: tuple[Joints, Joints]
    legs: tuple[Joints, Joints]


@dataclass(frozen=True)
class _Move:
    """A motion, each value (T,): angles of the upper and lower half of each limb (far, near), and of the spine.

    `drift` and `height` shift the whole figure forwards and up; `raised` is the share by which each leg appears shorter
    because its knee comes towards the viewer.
    """

    legs: tuple[Angles, Angles]
    arms: tuple[Angles, Angles]
    lean: np.ndarray
    drift: np.ndarray
    height: np.ndarray
    raised: tuple[np.ndarray, np.ndarray]


STILL = np.zeros(STEPS)


def _walk_front() -> _Move:
    swing = np.sin(2 * np.pi * np.arange(STEPS) / STEPS)
    return _Move(
        legs=((STILL - 0.06, STILL - 0.02), (STILL + 0.06, STILL + 0.02)),
        arms=((-0.38 + 0.28 * swing, -0.10 + 0.5 * swing), (0.38 + 0.28 * swing, 0.10 + 0.5 * swing)),
        lean=0.10 * swing,
        drift=0.02 * swing,
        height=STILL,
        raised=(0.42 * np.maximum(swing, 0), 0.42 * np.maximum(-swing, 0)),
    )


def _walk_side() -> _Move:
    phase = 2 * np.pi * np.arange(STEPS) / STEPS
    swing, forwards = np.sin(phase), np.cos(phase)
    bend_far, bend_near = 0.9 * np.maximum(-forwards, 0), 0.9 * np.maximum(forwards, 0)
    return _Move(
        legs=((-0.62 * swing, -0.62 * swing - bend_far), (0.62 * swing, 0.62 * swing - bend_near)),
        arms=((0.75 * swing, 0.75 * swing + 0.45), (-0.75 * swing, -0.75 * swing + 0.45)),
        lean=0.09 + 0.05 * swing,
        drift=0.035 * swing,
        height=STILL,
        raised=(STILL, STILL),
    )


WAVE_LIFT = np.array([0.0, 0.55, 1.0, 1.0, 1.0, 1.0, 0.9, 0.4])
WAVE_SWAY = np.array([0.0, 0.0, 0.6, -0.6, 0.6, -0.6, 0.4, 0.0])


def _wave_front() -> _Move:
    lift, sway = WAVE_LIFT, WAVE_SWAY
    return _Move(
        legs=((STILL - 0.10, STILL - 0.04), (STILL + 0.10, STILL + 0.04)),
        arms=((STILL - 0.38, STILL - 0.10), (0.38 + 1.70 * lift, 0.10 + 2.38 * lift + 0.85 * sway)),
        lean=-0.07 * lift + 0.04 * sway,
        drift=STILL,
        height=STILL,
        raised=(STILL, STILL),
    )


def _wave_side() -> _Move:
    lift, sway = WAVE_LIFT, WAVE_SWAY
    return _Move(
        legs=((STILL - 0.18, STILL - 0.26), (STILL + 0.20, STILL + 0.06)),
        arms=((STILL - 0.20, STILL + 0.05), (0.15 + 1.68 * lift, 0.35 + 1.35 * lift + 0.95 * sway)),
        lean=-0.16 * lift + 0.04 * sway,
        drift=-0.03 * lift,
        height=STILL,
        raised=(STILL, STILL),
    )


JUMP_CROUCH = np.array([0.0, 0.9, 0.2, 0.0, 0.0, 0.0, 1.0, 0.4])
JUMP_FLIGHT = np.array([0.0, 0.0, 0.45, 0.85, 1.0, 0.75, 0.0, 0.0])


def _jump_front() -> _Move:
    crouch, flight = JUMP_CROUCH, JUMP_FLIGHT
    upper, lower = 0.38 + 0.5 * crouch + 1.8 * flight, 0.10 - 0.2 * crouch + 2.3 * flight
    thigh, shin = 0.08 + 0.6 * flight, 0.03 + 0.25 * flight
    return _Move(
        legs=((-thigh, -shin), (thigh, shin)),
        arms=((-upper, -lower), (upper, lower)),
        lean=STILL,
        drift=STILL,
        height=LEAP * flight,
        raised=(0.38 * crouch, 0.38 * crouch),
    )


def _jump_side() -> _Move:
    crouch, flight = JUMP_CROUCH, JUMP_FLIGHT
    return _Move(
        legs=(
            (0.75 * crouch - 0.55 * flight, -0.75 * crouch - 1.1 * flight),
            (0.75 * crouch + 0.75 * flight, -0.75 * crouch - 0.3 * flight),
        ),
        arms=(
            (-1.1 * crouch + 1.9 * flight, -0.8 * crouch + 2.1 * flight),
            (-0.9 * crouch - 1.3 * flight, -0.5 * crouch - 1.0 * flight),
        ),
        lean=0.30 * crouch + 0.06 * flight,
        drift=0.07 * flight - 0.025 * crouch,
        height=LEAP * flight,
        raised=(STILL, STILL),
    )


# (facing us, facing sideways) for walk, wave and jump.
MOVES = ((_walk_front, _walk_side), (_wave_front, _wave_side), (_jump_front, _jump_side))


def _limb(start: Points, angles: Angles, upper: Distances | float, lower: Distances | float) -> Joints:
    """The three joints of an arm or a leg, from the angles and the lengths of its two halves."""
    middle = start + 1j * np.exp(-1j * _column(angles[0])) * upper
    return start, middle, middle + 1j * np.exp(-1j * _column(angles[1])) * lower


def _column(values: np.ndarray) -> Distances:
    return values.astype(np.float32).reshape(-1, 1, 1)


def pose(action: int, direction: int) -> Pose:
    """The joints of the clip of one action (walk, wave, jump) in one direction (front, left, right)."""
    side = direction > 0
    move = MOVES[action][side]()
    lean = np.exp(1j * _column(move.lean))

    # Stand the figure on the lower of its two feet, then lift it by the height of the jump.
    origin = np.zeros((STEPS, 1, 1), np.complex64)
    apart = (-0.012, 0.012) if side else (-0.052, 0.052)
    far, near = (
        _limb(origin + offset, angles, THIGH * (1 - _column(raised)), SHIN * (1 - _column(raised)))
        for angles, raised, offset in zip(move.legs, move.raised, apart, strict=True)
    )
    lowest = np.maximum(far[2].imag, near[2].imag)
    hip = 0.5 + _column(move.drift) + 1j * (GROUND - SOLE - lowest - _column(move.height))

    chest = hip - 0.122j * lean
    head = chest - (0.178j - (0.012 if side else 0)) * lean**0.8
    shoulders = (0.012, -0.012) if side else (-0.083, 0.083)
    arms = [
        _limb(chest + offset * lean + 0.006j, angles, UPPER_ARM, FOREARM)
        for angles, offset in zip(move.arms, shoulders, strict=True)
    ]
    return Pose(
        side=side,
        mirrored=direction == 1,
        hip=hip,
        chest=chest,
        head=head,
        tilt=lean**0.7,
        height=_column(move.height),
        arms=(arms[0], arms[1]),
        legs=((far[0] + hip, far[1] + hip, far[2] + hip), (near[0] + hip, near[1] + hip, near[2] + hip)),
    )
