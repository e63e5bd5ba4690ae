"""What the learned solver trains on where it has no order of its own images."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.attacks.attackers.interface import Pair
from mmppvit.attacks.attackers.jigsaw.learned_scores import in_order
from mmppvit.encryption import Key, Scheme, make_scheme

KEY = Key(bytes(range(32)))
SHUFFLED = [make_scheme('downsample+shuffle', grid=2), Scheme('shuffle', grid=1),
            Scheme('mix+shuffle', erode=1), Scheme('mix+center+shuffle', center_strength=.5)]


@pytest.mark.parametrize('scheme', SHUFFLED, ids=lambda scheme: scheme.name)
def test_pairs_are_the_same_with_and_without_their_order(scheme):
    """Downsampled images are downsampled, not mixed."""
    plain = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    made = scheme.encrypt(plain, KEY, 'a.png')
    known = Pair('a.png', made.img, plain, made.order)
    unknown = Pair('a.png', made.img, plain, None)
    np.testing.assert_array_equal(in_order(unknown, scheme), in_order(known, scheme))
