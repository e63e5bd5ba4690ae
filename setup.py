"""What pyproject.toml cannot say: configs and tools in the wheel, and links that lead somewhere."""
import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# OpenMIM looks for these in PACKAGE/.mim: `mim train mmppvit CONFIG`, and so does `mmppvit train`.
MIM = ('configs/**/*.py', 'configs/**/*.md', 'configs/**/*.yml', 'tools/**/*.py', 'tools/dist_*.sh',
       'tools/slurm_*.sh', 'model-index.yml')


class BuildWithMim(build_py):
    """Puts configs and tools into wheels; editable installations use those of the source tree."""

    def mim_files(self) -> dict[Path, Path]:
        """Target below the build folder -> source."""
        target = Path(self.build_lib, 'mmppvit/.mim')
        return {target / path.relative_to(ROOT): path
                for pattern in MIM for path in sorted(ROOT.glob(pattern))
                if '__pycache__' not in path.parts}

    def run(self) -> None:
        super().run()
        if not getattr(self, 'editable_mode', False):
            for target, source in self.mim_files().items():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        mim = [] if getattr(self, 'editable_mode', False) else map(str, self.mim_files())
        return [*super().get_outputs(include_bytecode), *mim]


def description() -> str:
    """The README; links into the source tree, which readers of a package index do not have, and
    images are left out, and their text stays."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    text = re.sub(r'^!\[[^\]]*\]\((?!https?:)[^)]*\)\n+', '', text, flags=re.MULTILINE)
    return re.sub(r'\[([^\]]*)\]\((?!https?:|#)[^)]*\)', r'\1', text)


setup(cmdclass=dict(build_py=BuildWithMim), long_description=description(),
      long_description_content_type='text/markdown')
