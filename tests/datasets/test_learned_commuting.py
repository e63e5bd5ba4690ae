"""Nothing commutes with a protection network."""
from __future__ import annotations

import pytest

from mmppvit.datasets import RandomAffineColor, RandomRotate90, check_commutes
from mmppvit.encryption import LearnedScheme


def _step(name: str):
    return type(name, (), {})()


@pytest.mark.parametrize('step', [_step('RandomFlip'), RandomRotate90(), RandomAffineColor()])
def test_what_commutes_with_mixing_does_not(step):
    with pytest.raises(ValueError, match='a protection network commutes with nothing'):
        check_commutes([step], LearnedScheme(protector='0' * 32))


def test_rescaling_does_not_either():
    with pytest.raises(ValueError, match='seal at the scales you train at'):
        check_commutes([_step('Resize')], LearnedScheme(protector='0' * 32))


def test_reading_and_packing_pass():
    check_commutes([_step('LoadImageFromFile'), _step('PackSealedInputs')],
                   LearnedScheme(protector='0' * 32))
