"""Running a plan: every candidate under every seed, in turn, halved on the way if asked for."""
from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from statistics import mean

from mmppvit.plan.choices import Candidate, with_plain
from mmppvit.plan.halving import Standing, first_part, survivors
from mmppvit.plan.hiding import hidden_by_rank, hidden_by_reports
from mmppvit.plan.plan_rows import DONE, DROPPED, FAILED, PAUSED, PlanTable, Row
from mmppvit.plan.training_run import TrainingRun, end_processes, run_mmppvit
from mmppvit.utils.atomic import write_atomic

__all__ = ['Plan', 'PlanOptions', 'Prepared']

SHORT = 3  # epochs that a budget in images is divided into, so that there is a third of it


@dataclass(frozen=True)
class PlanOptions:
    """What a plan does.

    Args:
        config (str): See :func:`mmppvit.plan.run_config.make_run_config`.
        out (Path): Folder of plan.csv, plan.png and ``runs/``.
        candidates (Sequence[Candidate]): Plain images are added for every patch size.
        epochs, images_seen (int, optional): Length of each training, one of the two; that of the
            config if neither is given.
        seeds (int): Trainings of each candidate, from seed 0 up.
        halving (bool): Whether only the better half goes on after a third.
        jobs (int): Trainings at a time.
        arch (str): Of the PEViT of adapted configs.
        statistics (int): Training images that mean and deviation are measured on.
        cfg_options (Sequence[str]): 'KEY=VALUE' each.
        reports (Path, optional): See :func:`mmppvit.plan.hiding.hidden_by_reports`.
    """
    config: str
    out: Path
    candidates: Sequence[Candidate]
    epochs: int | None = None
    images_seen: int | None = None
    seeds: int = 1
    halving: bool = False
    jobs: int = 1
    arch: str = 'small'
    statistics: int = 64
    cfg_options: Sequence[str] = ()
    reports: Path | None = None

    def __post_init__(self) -> None:
        if self.epochs is not None and self.images_seen is not None:
            raise ValueError('--epochs and --images-seen both say how long trainings are: give '
                             'one of them')
        if self.halving and self.epochs == 1:
            raise ValueError('--halving needs 2 epochs at least: its first part is a third of them')

    def fixed(self) -> dict:
        """What may not change when a plan goes on. Candidates and seeds may be added."""
        return dict(config=self.config, epochs=self.epochs, images_seen=self.images_seen,
                    halving=self.halving, arch=self.arch, cfg_options=list(self.cfg_options),
                    statistics=self.statistics)


@dataclass(frozen=True)
class Prepared:
    """What is known of a training before it runs, see :class:`RunConfig`."""
    epochs: int
    num_images: int
    tokens: float
    object_patches: float | None
    data: str


@dataclass
class _Training:
    """One training and the candidates that it answers for."""
    name: str
    candidate: Candidate
    seed: int
    labels: list[str] = field(default_factory=list)

    @property
    def keys(self) -> list[tuple[str, int]]:
        return [(label, self.seed) for label in self.labels]


class Plan:
    """A table of trainings in a folder; :meth:`run` begins it or goes on with it.

    Args:
        options (PlanOptions): What to do.
        say (Callable): Told what happens, a line each time.
        start (Callable): As :func:`mmppvit.plan.training_run.run_mmppvit`.

    Raises:
        ValueError: The folder holds a plan of other settings.
    """

    def __init__(self, options: PlanOptions, say: Callable[[str], None] = print,
                 start: Callable = run_mmppvit) -> None:
        self.options, self.say, self.start = options, say, start
        self.candidates = with_plain(options.candidates)
        self.trainings = self._divide()
        self.table: PlanTable | None = None
        self._preparing = threading.Lock()
        self._ending = threading.Event()

    @property
    def hidden(self) -> dict[str, float]:
        """How much each candidate hides, by its label."""
        return self._hiding[0]

    @property
    def measured(self) -> bool:
        """Whether that is of reports, which all candidates have, or the fixed ranking."""
        return self._hiding[1]

    @cached_property
    def _hiding(self) -> tuple[dict[str, float], bool]:
        if self.options.reports is not None:
            found = hidden_by_reports(self.candidates, self.options.reports)
            if len(found) == len(self.candidates):
                return {candidate.label: value for candidate, value in found.items()}, True
        return {candidate.label: hidden_by_rank(candidate) for candidate in self.candidates}, False

    def run(self) -> list[Row]:
        """Train what has not been trained, and return the rows of this plan's candidates.

        Interrupted, it can be run again and goes on; failed trainings are tried again. The rows
        are in ``plan.csv`` all the time.
        """
        self._check()
        with _ends_by_exception(), self._folder():
            self.table = PlanTable(self.options.out / 'plan.csv')
            for training in self.trainings:
                for candidate in self.candidates:
                    if candidate.label in training.labels:
                        self.table.add(self._empty_row(training, candidate))
            self.table.change([])
            if self.options.halving:
                self._all(self.trainings, first=True)
                kept = self._halve()
                self._all([t for t in self.trainings if t.name in kept], first=False)
            else:
                self._all(self.trainings, first=False)
            return self.rows()

    def rows(self) -> list[Row]:
        """Rows of this plan's candidates and seeds."""
        wanted = {key for training in self.trainings for key in training.keys}
        return [row for row in self.table.rows if (row.label, row.seed) in wanted]

    def estimate(self) -> Iterator[tuple[_Training, Prepared, float]]:
        """Each training, what is known of it, and the seconds it will take on this machine.

        Writes the configs of the trainings and nothing else. A training step is measured; a
        tested image counts as a third of one that is trained on.
        """
        from mmengine.config import Config

        from mmppvit.engine.step_time import count_images, seconds_per_step
        self._check()
        times: dict[str, tuple[float, int]] = {}
        for training in self.trainings:
            prepared = self._prepare(training)
            if training.candidate.run not in times:
                cfg = Config.fromfile(str(self._run_of(training).config))
                step = seconds_per_step(cfg, warm_up=1, timed=3)
                times[training.candidate.run] = (step / cfg.train_dataloader.get('batch_size', 1),
                                                 count_images(cfg.val_dataloader))
            second, tested = times[training.candidate.run]
            yield training, prepared, second * (prepared.epochs * prepared.num_images + tested / 3)

    # --- trainings --------------------------------------------------------------------------------

    def _divide(self) -> list[_Training]:
        found: dict[str, _Training] = {}
        for seed in range(self.options.seeds):
            for candidate in self.candidates:
                name = f'{candidate.run}_seed{seed}'
                training = found.setdefault(name, _Training(name, candidate, seed))
                training.labels.append(candidate.label)
        return list(found.values())

    def _all(self, trainings: Sequence[_Training], first: bool) -> None:
        """Train them all, ``jobs`` at a time, until the end or of the first part."""
        if self.options.jobs == 1:
            for training in trainings:
                self._one(training, first)
            return
        with ThreadPoolExecutor(self.options.jobs) as pool:
            futures = [pool.submit(self._one, training, first) for training in trainings]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                self._ending.set()
                pool.shutdown(wait=False, cancel_futures=True)
                end_processes()  # which the threads wait for
                raise

    def _one(self, training: _Training, first: bool) -> None:
        row = self.table.get(*training.keys[0])
        others = [self.table.get(*key) for key in training.keys]
        if all(other.status == DONE for other in others) or (first and row.map_first is not None):
            return
        try:
            with self._preparing:
                prepared = self._prepare(training)
            if self._ending.is_set():
                return
            until = first_part(prepared.epochs) if first else prepared.epochs
            self.say(f'{training.name}: {until} of {prepared.epochs} epochs of '
                     f'{prepared.num_images} images')
            run = self._run_of(training)
            ended = run.train(until)
            metrics = run.metrics(until)
        except (ValueError, OSError) as err:  # RunError, and configs that cannot be made
            if not self._ending.is_set():  # else it was ended, and goes on next time
                self._failed(training, ' '.join(str(err).split()))
            return
        self.table.change(
            training.keys, **asdict(metrics), epochs=until, error='',
            images_seen=until * prepared.num_images, tokens=prepared.tokens,
            object_patches=prepared.object_patches, data=prepared.data,
            seconds=row.seconds + ended.seconds, cpu_seconds=row.cpu_seconds + ended.cpu_seconds,
            status=PAUSED if first else DONE, date=f'{date.today()}',
            **(dict(map_first=metrics.map) if first else {}))
        self.say(f'{training.name}: mAP {metrics.map:.3f}')

    def _failed(self, training: _Training, reason: str) -> None:
        self.table.change(training.keys, status=FAILED, error=reason, date=f'{date.today()}')
        self.say(f'{training.name} failed: {reason}')

    def _halve(self) -> set[str]:
        """Names of trainings that go on; the rows of the others say so."""
        rows, hidden = self.rows(), self.hidden
        standings = []
        for candidate in self.candidates:
            scores = [row.map_first for row in rows if row.label == candidate.label
                      and row.map_first is not None]  # one that failed later is tried again
            if scores:
                standings.append(Standing(candidate.label, mean(scores), hidden[candidate.label],
                                          candidate.plain))
        kept = survivors(standings)
        for row in rows:
            if row.status == PAUSED and row.label not in kept:
                self.table.change([(row.label, row.seed)], status=DROPPED)
        dropped = [standing.name for standing in standings if standing.name not in kept]
        self.say(f'after a third: {", ".join(sorted(kept))} go on'
                 + (f'; {", ".join(dropped)} are dropped' if dropped else ''))
        return {training.name for training in self.trainings if kept & set(training.labels)}

    def _check(self) -> None:
        """What would stop every training is found before any of them."""
        if '::' not in self.options.config:
            from mmppvit.utils.config_files import find_config
            find_config(self.options.config)
        _ = self.hidden

    # --- files ------------------------------------------------------------------------------------

    def _run_of(self, training: _Training) -> TrainingRun:
        return TrainingRun(self.options.out / 'runs' / training.name, self.start)

    def _empty_row(self, training: _Training, candidate: Candidate) -> Row:
        return Row(config=Path(self.options.config).stem, scheme=candidate.name,
                   patch_size=candidate.patch_size, grid=candidate.grid,
                   strength=candidate.strength, parameters=candidate.parameters,
                   seed=training.seed, run=training.name)

    def _prepare(self, training: _Training) -> Prepared:
        """Write the config of a training, unless it has trained an epoch with it."""
        run = self._run_of(training)
        known = run.folder / 'prepared.json'
        if run.epoch and known.is_file() and run.config.is_file():
            return Prepared(**json.loads(known.read_text()))
        from mmppvit.plan.run_config import Budget, make_run_config
        options = self.options
        parts = SHORT if options.halving else 1
        made = make_run_config(
            options.config, training.candidate, training.seed,
            Budget(options.epochs, options.images_seen, parts), arch=options.arch,
            statistics=options.statistics, cfg_options=options.cfg_options)
        write_atomic(run.config, made.config.pretty_text.encode())
        prepared = Prepared(made.epochs, made.num_images, made.tokens, made.object_patches,
                            made.data)
        write_atomic(known, json.dumps(asdict(prepared)).encode())
        return prepared

    @contextmanager
    def _folder(self) -> Iterator[None]:
        """The folder, held alone, with what this plan is."""
        from mmppvit.sealed.journal import locked
        out = self.options.out
        out.mkdir(parents=True, exist_ok=True)
        file, wanted = out / 'plan.json', self.options.fixed()
        try:
            lock = locked(out / '.lock', wait=False)
            lock.__enter__()
        except BlockingIOError:
            raise ValueError(f'{out}: another plan runs there: wait for it, or end it') from None
        try:
            if file.is_file():
                _refuse_others(json.loads(file.read_text()), wanted, out)
            write_atomic(file, json.dumps(wanted, indent=1).encode())
            yield
        finally:
            lock.__exit__(*sys.exc_info())


def _refuse_others(old: dict, wanted: dict, out: Path) -> None:
    for key, value in wanted.items():
        if key in old and old[key] != value:  # plans of an earlier version lack statistics
            raise ValueError(f'{out} holds a plan with {key} {old[key]!r}, and this one has '
                             f'{value!r}: repeat its options, or choose another --out')


@contextmanager
def _ends_by_exception() -> Iterator[None]:
    """SIGTERM ends this process as Ctrl-C does, so that trainings that it started end, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
