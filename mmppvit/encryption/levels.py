"""Levels of 8-bit images that several modules agree on."""
__all__ = ['CONTRAST', 'CONTRAST_FLOOR', 'MIDDLE_LEVEL']

# Where centering puts a patch without its mean, and what blank and eroded pixels become.
MIDDLE_LEVEL = 128
# Of a patch whose contrast is normalized; the floor keeps flat ones from being noise.
CONTRAST, CONTRAST_FLOOR = 40., 8.
