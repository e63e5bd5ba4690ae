"""Plain images of a job: found, read, and compared with what the json says of them."""
from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mmppvit.annotations.image_frame import JsonFrame, read_frame
from mmppvit.annotations.image_names import plain_path
from mmppvit.sealed.plain_images import PlainImage, list_folder, read_plain
from mmppvit.sealed.sources import Source, annotation_remarks, read_sources

__all__ = ['SourceReader', 'input_remarks']


class SourceReader:
    """Reads the images of one folder and json.

    Args:
        img_dir (Path): Folder of the images.
        ann_file (Path, optional): The json.
        window (tuple, optional): As for :func:`read_plain`.
    """

    def __init__(self, img_dir: Path, ann_file: Path | None = None,
                 window: tuple[float, float] | None = None) -> None:
        self.img_dir, self.ann_file, self.window = img_dir, ann_file, window
        self._frame = JsonFrame(self._sizes)

    def read(self, source: Source) -> PlainImage:
        """One image.

        Raises:
            OSError: It cannot be read, or its values need a window.
            ValueError: The boxes of the json do not fit it.
        """
        if source.size is None and any(
                part.startswith('.') for part in PurePosixPath(source.name).parts[:-1]):
            raise OSError('it lies in a hidden folder, as copies of tools do: move it, or list it '
                          'in a json')
        plain = read_plain(plain_path(self.img_dir, source.name), self.window)
        if source.size is not None:
            height, width = plain.img.shape[:2]
            frame = read_frame(io.BytesIO(plain.content))
            problem = self._frame.problem(source.size, frame, (width, height))
            if problem is not None:
                raise ValueError(problem)
        return plain

    def _sizes(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for source in read_sources(self.img_dir, self.ann_file)[0]:
            yield self.img_dir / source.name, source.size


def input_remarks(img_dir: Path, ann_file: Path | None) -> list[str]:
    """What is to be said before any image is read: of the json, or of the folder without one."""
    if ann_file is not None:
        return annotation_remarks(ann_file)
    others = list_folder(img_dir)[1]
    if not others:
        return []
    return [f'{len(others)} files of {img_dir} are no images: {", ".join(others[:5])}'
            + ', ...' * (len(others) > 5)]
