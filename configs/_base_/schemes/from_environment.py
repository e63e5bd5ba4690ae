# One way of making images unreadable, named by the environment, as steps of a pipeline: `encrypt`.
# SCHEME: plain, mix, mix+center, blur, pixelate, noise or downsample; PATCH in pixels of the plain
# image; GRID of mix and downsample; STRENGTH of centering (0 to 1) and of the rest (sigma, block);
# GAIN of centered patches; NORMALIZE=1 to bring their contrasts to one level instead.
# Shuffling needs no run of its own: the backbone has no positions, so it makes the same of shuffled
# patches.
scheme = '{{$SCHEME:mix}}'
patch = int('{{$PATCH:16}}')
grid = int('{{$GRID:2}}') if scheme.startswith(('mix', 'downsample')) else 1
strength = float('{{$STRENGTH:1}}')
gain = float('{{$GAIN:1}}')
normalize = '{{$NORMALIZE:0}}' == '1'

encrypt = {
    'plain': [],
    'mix': [dict(type='MixSubPatches', patch_size=patch, grid=grid)],
    'mix+center': [
        dict(type='MixSubPatches', patch_size=patch, grid=grid),
        dict(type='CenterPatches', patch_size=patch, grid=grid, strength=strength, normalize=True)
    ] if normalize else [
        dict(
            type='MixCenterPatches', patch_size=patch, grid=grid, strength=strength, gain=gain)
    ],
    'blur': [dict(type='GaussianBlurImage', sigma=strength)],
    'pixelate': [dict(type='PixelateImage', block=int(strength))],
    'noise': [dict(type='AddNoiseImage', sigma=strength)],
    'downsample': [dict(type='DownsampleImage', factor=grid, patch_size=patch)],
}[scheme]
