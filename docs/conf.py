"""Sphinx: ``make docs`` builds docs/_build/html; a warning is an error."""
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mmppvit
import mmppvit.register

project = 'mmppvit'
author = 'the mmppvit developers'
project_copyright = 'the mmppvit developers, Apache-2.0'
version = release = mmppvit.__version__

extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_copybutton',
    'sphinx_design',
]
exclude_patterns = ['_build', 'jupyter_execute']
templates_path = ['_templates']

html_theme = 'furo'
html_title = f'mmppvit {release}'
html_static_path = []
html_theme_options = dict(navigation_with_keys=True)

myst_enable_extensions = ['colon_fence', 'deflist']
myst_heading_anchors = 3
# Links to files of the source tree are checked by tests/test_docs.py; here they are plain text.
suppress_warnings = ['myst.xref_missing'] if os.environ.get('MMPPVIT_DOCS_LAX') else []

nb_execution_mode = os.environ.get('MMPPVIT_DOCS_EXECUTE', 'auto')
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_output_stderr = 'remove'

autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = False
autodoc_typehints = 'none'  # docstrings give types, shapes and units
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True, 'ignore-module-all': False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def _link_to_pages(app, docname, source):
    """Files of the root that docs/ includes are pages here."""
    for name in ('SECURITY', 'CONTRIBUTING', 'CHANGELOG'):
        source[0] = source[0].replace(f'](../{name}.md', f']({name.lower()}.md').replace(
            f'](../../{name}.md', f'](../{name.lower()}.md')


def setup(app):
    app.connect('source-read', _link_to_pages)
