"""The attackers by name, imported when they are asked for: some need torch."""
from __future__ import annotations

from importlib import import_module

from mmppvit.attacks.attackers.interface import Attacker

__all__ = ['ATTACKERS', 'find_attackers']

ATTACKERS = {  # in the order of the report
    'thumbnail': 'mmppvit.attacks.attackers.thumbnail:ThumbnailAttacker',
    'poisson': 'mmppvit.attacks.attackers.poisson:PoissonThumbnail',
    'thumbnail-learned': 'mmppvit.attacks.attackers.learned_thumbnail:LearnedThumbnail',
    'jigsaw-mgc': 'mmppvit.attacks.attackers.jigsaw:JigsawMGC',
    'jigsaw-blind': 'mmppvit.attacks.attackers.jigsaw:JigsawBlind',
    'jigsaw-learned': 'mmppvit.attacks.attackers.jigsaw:JigsawLearned',
    'jigsaw-transformer': 'mmppvit.attacks.attackers.jigsaw:JigsawTransformer',
    'vit': 'mmppvit.attacks.attackers.vit_attacker:ViTAttacker',
    'itn': 'mmppvit.attacks.attackers.inverse_network:InverseNetwork',
    'fr': 'mmppvit.attacks.attackers.feature_reconstruction:FeatureReconstruction',
    'gan': 'mmppvit.attacks.attackers.adversarial:AdversarialReconstruction',
    'diffusion': 'mmppvit.attacks.attackers.diffusion_attacker:DiffusionAttacker',
    'known-scene': 'mmppvit.attacks.attackers.known_scene:KnownScene',
    'known-plaintext': 'mmppvit.attacks.attackers.known_plaintext:KnownPlaintext',
}


def find_attackers(names: str = 'all') -> dict[str, type[Attacker]]:
    """Classes by name.

    Args:
        names (str): 'all', or names of :data:`ATTACKERS` with commas between them.

    Raises:
        ValueError: There is no such attacker.
    """
    wanted = list(ATTACKERS) if names == 'all' else [name.strip() for name in names.split(',')]
    unknown = [name for name in wanted if name not in ATTACKERS]
    if unknown or not wanted:
        raise ValueError(f'no attacker {", ".join(unknown)}: choose from {", ".join(ATTACKERS)}, '
                         "or 'all'")
    found = {}
    for name in dict.fromkeys(wanted):
        module, _, kind = ATTACKERS[name].partition(':')
        found[name] = getattr(import_module(module), kind)
    return found
