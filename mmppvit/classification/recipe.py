"""Two recipes: DeiT's, and one for the drawn sample."""
from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ['DEIT', 'SAMPLE', 'Recipe']


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are DeiT's (Touvron et al., arXiv 2012.12877).

    ``lr`` is the learning rate at 512 images a step and is scaled with their number; ``crop``
    the least share of an image that a training crop shows; ``hflip`` the share of images that
    are mirrored; ``crop_pct`` the share of the shorter side that evaluation looks at, None for what
    the model says.
    """
    epochs: int = 300
    batch_size: int = 128
    lr: float = 5e-4
    weight_decay: float = .05
    warmup_epochs: int = 5
    drop_path: float = .1
    mixup: float = .8
    cutmix: float = 1.
    label_smoothing: float = .1
    auto_augment: str = 'rand-m9-mstd0.5-inc1'
    crop: float = .08
    hflip: float = .5
    crop_pct: float | None = None
    ema_decay: float = .9999
    img_size: int = 224

    def override(self, **values) -> Recipe:
        """With those of ``values`` that are not None.

        Raises:
            ValueError: A value makes no sense.
        """
        recipe = replace(self, **{key: value for key, value in values.items()
                                  if value is not None})
        for name in ('epochs', 'batch_size', 'img_size'):
            if getattr(recipe, name) < 1:
                raise ValueError(f'--{name.replace("_", "-")} must be at least 1, got '
                                 f'{getattr(recipe, name)}')
        for name, share in (('crop', recipe.crop), ('crop-pct', recipe.crop_pct)):
            if share is not None and not 0 < share <= 1:
                raise ValueError(f'--{name} {share} is no share of an image: choose more than 0, '
                                 'and 1 for the whole')
        if not 0 <= recipe.hflip <= 1:
            raise ValueError(f'--hflip {recipe.hflip} is no share of the images: choose 0 to 1')
        if recipe.mixes_up and recipe.batch_size % 2:
            raise ValueError(f'--batch-size {recipe.batch_size} is odd, and mixup and cutmix pair '
                             'images up: choose an even one, or --mixup 0 --cutmix 0')
        if recipe.warmup_epochs >= recipe.epochs:  # short runs still warm up, over a part
            recipe = replace(recipe, warmup_epochs=recipe.epochs // 5)
        return recipe

    @property
    def mixes_up(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0


DEIT = Recipe()
SAMPLE = Recipe(epochs=10, batch_size=32, lr=8e-3, warmup_epochs=1, drop_path=0., mixup=0.,
                cutmix=0., label_smoothing=.1, auto_augment='', crop=.7, crop_pct=1.,
                ema_decay=.99, img_size=96)
