"""Protected data sets before a detector: which one it was meant for."""
from __future__ import annotations

import pytest
from torch import nn

from mmppvit.encryption import LearnedScheme
from mmppvit.engine.hooks import sealed_data
from mmppvit.models import ProtectedDetector
from mmppvit.models.protectors import fingerprint


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(sealed_data, 'print_log', lambda text, **_: lines.append(text))
    return lines


def test_the_detector_it_was_protected_for(said):
    model = nn.Linear(2, 2)
    scheme = LearnedScheme(protector='0' * 32, detector=fingerprint(model.state_dict()))
    sealed_data._check_model(scheme, 'sealed/test', model)
    assert said == []
    model.bias.data.add_(1)
    sealed_data._check_model(scheme, 'sealed/test', model)
    assert len(said) == 1
    assert 'for a detector of other weights' in said[0]


def test_nothing_is_said_where_it_is_not_known(said):
    sealed_data._check_model(LearnedScheme(protector='0' * 32), 'sealed/test', nn.Linear(2, 2))
    assert said == []


def test_images_are_not_protected_twice():
    model = ProtectedDetector.__new__(ProtectedDetector)
    with pytest.raises(ValueError, match='is protected already'):
        sealed_data._check_model(LearnedScheme(protector='0' * 32), 'sealed/test', model)
