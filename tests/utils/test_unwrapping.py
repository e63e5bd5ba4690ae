"""Models without what training and testing wrap them in."""
from __future__ import annotations

import pytest
from mmengine.model import BaseTTAModel, ExponentialMovingAverage
from torch import nn

from mmppvit.utils.unwrapping import unwrap_model


class _TTA(BaseTTAModel):
    """Test-time augmentation of a model that is built already."""

    def __init__(self, module: nn.Module) -> None:
        nn.Module.__init__(self)
        self.module = module

    def merge_preds(self, data_samples_list):
        return data_samples_list


@pytest.mark.parametrize('wrap', [lambda model: model, nn.DataParallel, _TTA,
                                  lambda model: _TTA(nn.DataParallel(model))])
def test_unwrap_model(wrap):
    model = nn.Linear(2, 2)
    assert unwrap_model(wrap(model)) is model


def test_an_average_is_its_own_model():
    """Its weights are others: whoever wants them takes ``module``."""
    average = ExponentialMovingAverage(nn.Linear(2, 2))
    assert unwrap_model(average) is average
