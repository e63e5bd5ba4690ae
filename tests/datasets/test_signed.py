"""A key that is given, and a name that is expected, are demanded of every set."""
from __future__ import annotations

import pytest

from mmppvit.datasets import SealedCocoDataset
from mmppvit.datasets.transforms import ReadSeal
from mmppvit.encryption import Key
from mmppvit.sealed import Manifest, ManifestError, SealJob, seal_dataset


def test_a_set_without_signature_is_refused_where_a_key_is_given(sealed_shapes):
    step = ReadSeal(key_file=str(sealed_shapes.key_file))
    with pytest.raises(ManifestError, match='nothing in it is signed'):
        step.check(Manifest.load(sealed_shapes.folder('mix')))
    assert step.check(Manifest.load(sealed_shapes.folder('mix+shuffle'))) is step.key


def test_a_signed_set_needs_no_key_where_nothing_is_shuffled(sealed_shapes, tmp_path):
    job = SealJob(sealed_shapes.plain / 'val2017', tmp_path / 'signed',
                  Manifest.load(sealed_shapes.folder('mix')).scheme,
                  key=Key.load(sealed_shapes.key_file))
    seal_dataset(job)
    manifest = Manifest.load(job.out)
    assert ReadSeal().check(manifest) is None
    assert ReadSeal(key_file=str(sealed_shapes.key_file)).check(manifest) is None


@pytest.mark.parametrize(('expect', 'message'), [
    (dict(name='cells'), "name '' and 'cells' is expected"),
    (dict(role='train'), "role '' and 'train' is expected"),
    (dict(at_least=2), 'at least 2 is expected'),
])
def test_training_can_demand_a_name(sealed_shapes, expect, message):
    with pytest.raises(ManifestError, match=message):
        SealedCocoDataset(data_root=str(sealed_shapes.folder('mix').parent), sealed='train2017',
                          expect=expect)
