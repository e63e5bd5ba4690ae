"""Whose checkpoint it is."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import torch

from mmppvit.models.checkpoints import SOURCES, guess_source, to_pevit, to_peyolos
from tests.models.checkpoints.layouts import (
    detectron2_vitdet,
    hugging_face_vit,
    hugging_face_yolos,
    mmdet_vitdet,
    openai_clip,
    released_pevit,
    timm_vit,
)
from tests.models.released_yolos import ReleasedYOLOS

STATES = dict(
    timm=timm_vit, yolos=ReleasedYOLOS().state_dict, vitdet=mmdet_vitdet,
    peyolos=ReleasedYOLOS(mixed=True).state_dict, pevit=released_pevit, clip=openai_clip,
    **{'hf-vit': hugging_face_vit,
       'hf-yolos': lambda: hugging_face_yolos(ReleasedYOLOS().state_dict())})


@pytest.mark.parametrize('found', STATES)
@pytest.mark.parametrize('said', SOURCES)
@pytest.mark.parametrize('convert', [to_pevit, to_peyolos])
def test_another_layout_is_named(found, said, convert):
    if found == said or (found, said) == ('timm', 'deit'):
        return
    with pytest.raises(ValueError, match=rf'this looks like a {found} checkpoint, use --source '
                       rf'{found}$'):
        convert(STATES[found](), said)


@pytest.mark.parametrize('wrapper', ['', 'model.'])
def test_detectron2_is_known_within_its_wrapper(wrapper):
    with pytest.raises(ValueError, match='this looks like a vitdet checkpoint'):
        to_pevit(detectron2_vitdet(wrapper), 'timm')


def test_a_vitdet_without_relative_positions_is_known_by_its_class_token():
    assert guess_source(['backbone.pos_embed', 'backbone.blocks.0.attn.qkv.weight',
                         'neck.a']) == 'vitdet'


@pytest.mark.parametrize('source', SOURCES)
def test_something_else(source):
    with pytest.raises(ValueError, match=r'looks like none of timm, deit, .* its names are a, b'):
        to_pevit(dict(b=torch.zeros(1), a=torch.zeros(1)), source)


def test_our_own_needs_no_conversion():
    ours = {'backbone.det_token': torch.zeros(1), 'bbox_head.class_embed.layers.0.bias':
            torch.zeros(1)}
    with pytest.raises(ValueError, match=r'this is a PEYOLOS of mmppvit.*load_from'):
        to_peyolos(ours, 'yolos')
