"""A scheme, an attacker, a judge and a backbone variant, as somebody who adds one would write them.

By kind, and by path in the source tree: the text of a new file, or (line, line to put after it) of
one that is there.
"""
from __future__ import annotations

__all__ = ['ADDITIONS']

_INVERSION = '''
"""Levels turned upside down."""
from __future__ import annotations

import numpy as np


def invert_levels(img: np.ndarray) -> np.ndarray:
    """255 minus every level of a uint8 image, exactly."""
    return 255 - img
'''

_INVERTED_SCHEME = '''
"""The scheme 'invert'."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmppvit.encryption.inversion import invert_levels
from mmppvit.encryption.patches import pad_to_patches
from mmppvit.encryption.schemes.base import Change, Scheme


@dataclass(frozen=True)
class InvertedScheme(Scheme):
    """Every level is turned upside down."""
    name: str = 'invert'
    grid: int = 1
    names: ClassVar[tuple[str, ...]] = ('invert', )
    baseline: ClassVar[bool] = True

    def _losses_of_hiding(self) -> list[str]:
        return ['it has no key']

    def obstacle(self, change: Change) -> str | None:
        return 'a bias would change its sign' if change is Change.COLOR else None

    def _lacks_marks_of_hiding(self, img: np.ndarray) -> bool:
        return False  # nothing tells an inverted image from a plain one

    def _hide(self, img: np.ndarray, image_id: str, pad_val: float | str) -> np.ndarray:
        return invert_levels(pad_to_patches(img, self.patch_size, pad_val))
'''

_INVERSION_TRANSFORM = '''
"""Inversion as a step of an MMDetection pipeline."""
from __future__ import annotations

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from mmppvit.datasets.transforms.mix_transforms import to_uint8
from mmppvit.encryption.inversion import invert_levels


@TRANSFORMS.register_module()
class InvertImage(BaseTransform):
    """Sizes, boxes, masks and the frame stay as they are."""

    encrypts = True

    def transform(self, results: dict) -> dict:
        results['img'] = invert_levels(to_uint8(results['img']))
        return results
'''

_TEST_INVERSION = '''
import mmppvit.register  # noqa: F401

# isort: split
import numpy as np
from mmdet.registry import TRANSFORMS

from mmppvit.cli.app import main
from mmppvit.encryption import Change, make_scheme, read_scheme
from mmppvit.encryption.inversion import invert_levels
from mmppvit.sealed import Manifest, verify_sealed
from mmppvit.sealed.image_files import decode_image

IMG = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)


def test_inversion_is_its_slow_reference():
    slow = [[[255 - int(level) for level in pixel] for pixel in row] for row in IMG]
    np.testing.assert_array_equal(invert_levels(IMG), slow)


def test_inversion_commutes_with_flips():
    np.testing.assert_array_equal(invert_levels(IMG[:, ::-1]), invert_levels(IMG)[:, ::-1])


def test_inversion_seals_from_the_command_line_and_verifies(tmp_path, sealed_shapes):
    out = tmp_path / 'sealed'
    assert main(['seal', '--img-dir', str(sealed_shapes.plain / 'val2017'), '--out', str(out),
                 '--scheme', 'invert', '--patch-size', '8']) == 0
    assert not list(verify_sealed(out))
    manifest = Manifest.load(out)
    assert manifest.scheme == read_scheme(make_scheme('invert', patch_size=8).to_dict())
    assert manifest.scheme.obstacle(Change.COLOR)
    image = manifest.images[0]
    plain = decode_image((sealed_shapes.plain / 'val2017' / image.source).read_bytes())
    sealed = decode_image((out / image.file).read_bytes())
    np.testing.assert_array_equal(sealed, 255 - plain)


def test_inversion_is_a_step_of_pipelines():
    step = TRANSFORMS.build(dict(type='InvertImage'))
    np.testing.assert_array_equal(step(dict(img=IMG))['img'], 255 - IMG)
'''

_ATTACKER = '''
"""Enlargement of every pixel to a square."""
from __future__ import annotations

import numpy as np

from mmppvit.attacks.attackers.interface import Attacker, Reconstruction


class Squares(Attacker):
    """What is seen on a screen that enlarges the sealed image."""
    name = 'squares'
    title = 'every pixel enlarged to a square'

    @classmethod
    def not_for(cls, scheme):
        return 'patches are in no order' if scheme.shuffles else None

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        grid = self.scheme.grid
        return Reconstruction(encrypted.repeat(grid, 0).repeat(grid, 1))
'''

_TEST_ATTACKER = '''
from mmppvit.attacks.attack_run import attack_and_report


def test_squares_run_and_are_reported(sealed, tmp_path):
    report, whole = attack_and_report(sealed.settings('mix'), tmp_path, attacks='squares')
    assert whole
    row, = report['rows']
    assert (row['name'], row['status']) == ('squares', 'done')
    floor, ceiling = (report[bound]['metrics']['ssim']['mean'] for bound in ('floor', 'ceiling'))
    assert floor < row['metrics']['ssim']['mean'] < ceiling


def test_squares_are_not_for_shuffled_patches(sealed, tmp_path):
    report, _ = attack_and_report(sealed.settings('mix+shuffle'), tmp_path, attacks='squares')
    assert report['rows'][0]['status'] == 'not for this scheme'
'''

_JUDGE = '''
"""How near the mean color of a reconstruction is to that of the plain image."""
from __future__ import annotations

import numpy as np

from mmppvit.attacks.judges.judge_list import Judge
from mmppvit.attacks.scoring.image_metrics import bootstrap_interval


class MeanColor(Judge):
    """1 for the very color, 0 for black in place of white."""
    title = 'mean color'
    digits = 2

    def __init__(self, plain):
        self.plain = plain

    @classmethod
    def from_files(cls, settings, data, files):
        return cls([victim.plain for victim in data.victims])

    def __call__(self, imgs):
        scores = [1 - abs(plain.mean((0, 1)) - img.mean((0, 1))).mean() / 255
                  for plain, img in zip(self.plain, imgs, strict=True)]
        low, high = bootstrap_interval(scores)
        return dict(mean=float(np.mean(scores)), low=low, high=high)
'''

_TEST_JUDGE = '''
from mmppvit.attacks.attack_run import attack_and_report


def test_mean_color_has_a_column_between_floor_and_ceiling(sealed, tmp_path):
    report, _ = attack_and_report(sealed.settings('mix'), tmp_path, attacks='thumbnail')
    assert dict(key='color', title='mean color', digits=2) in report['columns']
    floor, found, ceiling = (row['metrics']['color']['mean'] for row in
                             (report['floor'], report['rows'][0], report['ceiling']))
    assert floor < found <= ceiling == 1
    assert '<th scope="col">mean color</th>' in (tmp_path / 'report.html').read_text()
'''

ADDITIONS = {
    'A scheme': {
        'mmppvit/encryption/inversion.py': _INVERSION,
        'mmppvit/encryption/schemes/inverted_scheme.py': _INVERTED_SCHEME,
        'mmppvit/encryption/schemes/scheme_kinds.py': [
            ('from mmppvit.encryption.schemes.learned import LearnedScheme',
             'from mmppvit.encryption.schemes.inverted_scheme import InvertedScheme'),
            ('KINDS: tuple[type[Scheme], ...] = (Scheme, BaselineScheme, LearnedScheme)',
             'KINDS = (*KINDS, InvertedScheme)')],
        'mmppvit/datasets/transforms/inversion_transform.py': _INVERSION_TRANSFORM,
        'mmppvit/datasets/transforms/__init__.py': [
            ('from mmppvit.datasets.transforms.affine_color import RandomAffineColor',
             'from mmppvit.datasets.transforms.inversion_transform import InvertImage')],
        'tests/encryption/test_inversion.py': _TEST_INVERSION,
    },
    'An attacker': {
        'mmppvit/attacks/attackers/squares.py': _ATTACKER,
        'mmppvit/attacks/attackers/catalogue.py': [
            ("ATTACKERS = {  # in the order of the report",
             "    'squares': 'mmppvit.attacks.attackers.squares:Squares',")],
        'docs/attacks.md': [
            ('|---|---|---|---|',
             '| `squares` | the sealed images | enlarges every pixel | patches in order |')],
        'tests/attacks/attackers/test_squares.py': _TEST_ATTACKER,
    },
    'A judge': {
        'mmppvit/attacks/judges/mean_color.py': _JUDGE,
        'mmppvit/attacks/judges/judge_list.py': [
            ('JUDGES = {  # in the order of the columns',
             "    'color': 'mmppvit.attacks.judges.mean_color:MeanColor',")],
        'tests/attacks/judges/test_mean_color.py': _TEST_JUDGE,
    },
    'A backbone variant': {
        'mmppvit/models/backbones/pevit.py': [
            ('                 final_norm: bool = True,',
             '                 token_scale: float = 1.,'),
            ('        super().__init__(init_cfg)', '        self.token_scale = token_scale'),
            ('        x = self.patch_embed(x)', '        x = x * self.token_scale')],
        'tests/models/backbones/test_pevit.py': [
            ('VARIANTS = [', "    pytest.param(dict(token_scale=.5, grid=2), id='token_scale'),"),
        ],
    },
}
