"""The attackers by name, imported when they are asked for: some need torch."""
from __future__ import annotations

from importlib import import_module

from mmppvit.attacks.attacker import Attacker

__all__ = ['ATTACKERS', 'find_attackers']

ATTACKERS = {  # in the order of the report
    'thumbnail': 'mmppvit.attacks.thumbnail:ThumbnailAttacker',
    'poisson': 'mmppvit.attacks.poisson:PoissonThumbnail',
    'thumbnail-learned': 'mmppvit.attacks.learned_thumbnail:LearnedThumbnail',
    'jigsaw-mgc': 'mmppvit.attacks.jigsaw:JigsawMGC',
    'jigsaw-blind': 'mmppvit.attacks.jigsaw:JigsawBlind',
    'jigsaw-learned': 'mmppvit.attacks.jigsaw:JigsawLearned',
    'vit': 'mmppvit.attacks.vit_attacker:ViTAttacker',
    'itn': 'mmppvit.attacks.inverse_network:InverseNetwork',
    'fr': 'mmppvit.attacks.feature_reconstruction:FeatureReconstruction',
    'gan': 'mmppvit.attacks.adversarial:AdversarialReconstruction',
    'known-plaintext': 'mmppvit.attacks.known_plaintext:KnownPlaintext',
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
