"""Small sealed data sets of synthetic images, for attackers."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from mmppvit.attacks.runner import AttackSettings
from mmppvit.encryption import Key, make_scheme
from mmppvit.sealed import SealJob, seal_dataset
from tests.attacks.reconstruction_cases import drawn_images

_OPTIONS = {
    'mix': dict(), 'mix+shuffle': dict(), 'mix+center+shuffle': dict(center_strength=.5),
    'shuffle': dict(grid=1), 'blur': dict(grid=1, strength=2.), 'noise': dict(grid=1, strength=20.),
    'downsample+shuffle': dict(), 'pixelate': dict(grid=1, strength=8.)}


@dataclass(frozen=True)
class Sealed:
    """``plain`` has images of sides that are no whole patches; ``root/<scheme>`` is sealed."""
    plain: Path
    root: Path
    key_file: Path

    @property
    def key(self) -> Key:
        return Key.load(self.key_file)

    def folder(self, scheme: str) -> Path:
        """Sealed when it is first asked for."""
        folder = self.root / scheme
        if not folder.is_dir():
            made = make_scheme(scheme, **_OPTIONS[scheme])
            seal_dataset(SealJob(self.plain, folder, made,
                                 key=self.key if made.shuffles else None))
        return folder

    def settings(self, scheme: str, **options) -> AttackSettings:
        return AttackSettings(**{**dict(
            sealed=str(self.folder(scheme)), plain=str(self.plain), num_victims=3, num_pairs=5,
            budget=1.), **options})


@pytest.fixture(scope='session')
def sealed(tmp_path_factory) -> Sealed:
    folder = tmp_path_factory.mktemp('attacked')
    (folder / 'plain').mkdir()
    for number, img in enumerate(drawn_images(10, 52, 68)):
        cv2.imwrite(str(folder / f'plain/{number}.png'), img)
    Key.create(folder / 'owner.key')
    return Sealed(folder / 'plain', folder, folder / 'owner.key')
