"""Masks beside the image: none of their pixels lies in it, and all others are as they were."""
from __future__ import annotations

import pytest
import torch
from mmdet.models.roi_heads.mask_heads import fcn_mask_head

paste = fcn_mask_head._do_paste_mask


@pytest.mark.parametrize('skip_empty', [True, False])
@pytest.mark.parametrize('box', [
    [43.5, 2., 47., 9.], [3., 33.5, 9., 39.], [44., 34., 46., 37.]])
def test_a_box_in_the_padding(box, skip_empty):
    pasted, _ = paste(torch.ones(1, 1, 28, 28), torch.tensor([box]), 30, 40, skip_empty)
    assert pasted.numel() == 0 or pasted.max() == 0
    with pytest.raises(RuntimeError, match='step sign'):  # MMDetection alone; else drop the mend
        paste.stock(torch.ones(1, 1, 28, 28), torch.tensor([box]), 30, 40, True)


def test_others_are_as_they_were():
    torch.manual_seed(0)
    masks = torch.rand(20, 1, 28, 28)
    corners = torch.rand(20, 2) * torch.tensor([40., 30.])
    boxes = torch.cat([corners, corners + torch.rand(20, 2) * 20 + 1], 1)
    for skip_empty in (True, False):
        found, where = paste(masks, boxes, 30, 40, skip_empty)
        expected, place = paste.stock(masks, boxes, 30, 40, skip_empty)
        assert where == place
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_beside_others_it_is_empty():
    boxes = torch.tensor([[2., 2., 20., 20.], [42., 2., 47., 9.]])
    found, _ = paste(torch.ones(2, 1, 28, 28), boxes, 30, 40, False)
    expected, _ = paste.stock(torch.ones(2, 1, 28, 28), boxes, 30, 40, False)
    assert torch.equal(found, expected)
