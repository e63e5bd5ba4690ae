"""``mmppvit.attacks.judges.plain_detector``: weights that load whole, and without pickle."""
from __future__ import annotations

import pickle
import re
from pathlib import Path

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmppvit.attacks.judges.plain_detector import describe_detector, load_detector

CONFIG = Path(__file__).resolve().parents[3] / 'configs/bccd/atss_pevit-tiny_plain_bccd.py'


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    cfg = Config.fromfile(str(CONFIG))
    cfg.merge_from_dict(dict(model=dict(
        backbone=dict(arch=dict(_delete_=True, embed_dims=24, num_layers=1, num_heads=2)),
        neck=dict(in_channels=24), bbox_head=dict(stacked_convs=1))))
    path = tmp_path_factory.mktemp('plain_detector') / 'config.py'
    cfg.dump(path)
    return path


@pytest.fixture(scope='module')
def state(config) -> dict[str, torch.Tensor]:
    return load_detector(config, None).state_dict()


def test_checkpoints_of_either_kind(config, state, tmp_path):
    """Classes are those of the checkpoint, else of the config."""
    torch.save(state, tmp_path / 'bare.pth')
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=dict(classes=('a', 'b', 'c')))),
               tmp_path / 'full.pth')
    bare = load_detector(config, tmp_path / 'bare.pth')
    full = load_detector(config, tmp_path / 'full.pth')
    assert bare.dataset_meta['classes'] == ('RBC', 'WBC', 'Platelets')
    assert full.dataset_meta['classes'] == ('a', 'b', 'c')
    for detector in (bare, full):
        assert not detector.training
        assert all(torch.equal(value, state[name])
                   for name, value in detector.state_dict().items())


@pytest.mark.skipif(torch.__version__ < '2.6', reason='this torch cannot map names to stand-ins')
def test_a_checkpoint_of_stock_mmengine(config, state, tmp_path):
    torch.save(dict(state_dict=state, message_hub=dict(loss=HistoryBuffer([1., 2.], [1, 1]))),
               tmp_path / 'stock.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'stock.pth', weights_only=True)
    detector = load_detector(config, tmp_path / 'stock.pth')
    assert torch.equal(detector.state_dict()['bbox_head.atss_cls.weight'],
                       state['bbox_head.atss_cls.weight'])


def test_parts_are_refused(config, state, tmp_path):
    part = {name: value for name, value in state.items() if 'atss_reg.weight' not in name}
    torch.save(part, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r'1 tensors in the model only: bbox_head\.atss_reg'):
        load_detector(config, tmp_path / 'part.pth')


class _Code:

    def __reduce__(self):
        return print, ('code ran', )


def test_no_code_runs(config, state, tmp_path, capsys):
    torch.save(dict(state_dict=state, more=_Code()), tmp_path / 'bad.pth')
    with pytest.raises(RuntimeError, match=r'not safe to load|too old to read'):
        load_detector(config, tmp_path / 'bad.pth')
    assert 'code ran' not in capsys.readouterr().out


def test_files_that_are_missing(config, tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        load_detector(config, tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match='no config'):
        load_detector(tmp_path / 'none.py', None)


def test_description(config, tmp_path):
    (tmp_path / 'w.pth').write_bytes(b'abc')
    described = describe_detector(config, tmp_path / 'w.pth', [tmp_path / 'a.json', 'b.json'])
    assert re.fullmatch('ba7816bf[0-9a-f]{56}', described.pop('sha256'))
    assert described == dict(config='config.py', checkpoint='w.pth', annotations='a.json, b.json')
