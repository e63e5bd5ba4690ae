"""Links, file names and commands of README and docs lead somewhere."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('docs/guide/*.md'),
                *ROOT.glob('configs/**/README.md')])
LINK = re.compile(r'\]\(([^)\s]+)\)')
NAMED = re.compile(
    r'\b((?:tools|configs|docs|benchmarks|mmppvit|tests)/[\w./-]+\.(?:py|sh|md|csv))\b')


def _slug(heading: str) -> str:
    """GitHub's and MyST's anchor of a heading."""
    text = re.sub(r'[^\w\- ]', '', heading.replace('`', '').strip().lower())
    return text.replace(' ', '-')


def _anchors(page: Path) -> set[str]:
    return {_slug(line.lstrip('#')) for line in page.read_text().splitlines()
            if line.startswith('#')}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(page.read_text()):
        if '://' in link or link.startswith('mailto:'):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(link)
            continue
        anchored = not anchor or target.suffix != '.md' or anchor in _anchors(target)
        if not anchored:
            broken.append(link)
    assert not broken


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page):
    missing = {name for name in NAMED.findall(page.read_text()) if not (ROOT / name).exists()}
    assert not missing


def test_tests_that_are_named_exist():
    """Each promise of SECURITY.md names what holds it."""
    named = re.findall(r'`(tests/[\w/]+\.py)(?:::(\w+))?`', (ROOT / 'SECURITY.md').read_text())
    assert len(named) > 20
    missing = [f'{file}::{test}' for file, test in named if not (ROOT / file).is_file()
               or (test and f'def {test}(' not in (ROOT / file).read_text())]
    assert not missing
    table = (ROOT / 'SECURITY.md').read_text().split('|---|---|')[1].split('\n\n')[0]
    assert all('`tests/' in line for line in table.strip().splitlines())


def test_broken_links_would_be_found(tmp_path):
    page = tmp_path / 'a.md'
    page.write_text('# One thing\n[x](#one-thing) [y](b.md) [z](#two)')
    assert LINK.findall(page.read_text()) == ['#one-thing', 'b.md', '#two']
    assert _anchors(page) == {'one-thing'}


def test_the_readme_is_short():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 150
