"""Attackers, one after the other, each in a process of its own, so that one may fail alone."""
from __future__ import annotations

import hashlib
import json
import multiprocessing
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

import mmppvit
from mmppvit.attacks.attack_data import AttackData, load_attack_data
from mmppvit.attacks.attack_device import device_kind
from mmppvit.attacks.attackers.interface import (
    Attacker,
    Budget,
    BudgetExceeded,
    Pair,
    Reconstruction,
)
from mmppvit.encryption import Key, Scheme
from mmppvit.utils.atomic import replace_file, write_atomic

__all__ = ['FURTHER', 'LEAST_GAIN', 'AttackResult', 'AttackSettings', 'extrapolated',
           'has_settled', 'load_reconstructions', 'run_attacks']

# A budget is for learning; this many times it and a minute more, and this many seconds for every
# victim to reconstruct, is for all.
GRACE, MINUTE, PER_VICTIM = 2., 60., 20.
STEPS_LAST = 120.  # seconds that the limits of steps are meant for: of more time they grow with it
LEAST_GAIN = .02  # by which twice the time lowers the error of an attacker that is still learning
FURTHER = 10  # times the longest time, that curves are followed to


@dataclass(frozen=True)
class AttackSettings:
    """What an attack consists of; results with the same settings are not computed again.

    Args:
        sealed (str): Folder of the sealed data set.
        plain (str): Folder that it was sealed from.
        key_file (str, optional): The owner's, for scores of reconstructed orders.
        num_victims (int): Images to attack, at least 2.
        num_pairs (int): Images for the attacker to learn from, at most.
        scale (int): Index of the sealed scales.
        seed (int): Of all draws.
        budget (float): Seconds each attacker may learn.
        threads (int): CPU threads of an attacker.
        memory (float): GiB that the process of an attacker may have, with what it has read; 0 for
            no limit.
        protector (str, optional): File of the network, for learned protection.
        window (tuple, optional): (lo, hi) that images of more than 8 bits were sealed with.
        longest (float): Attackers that learn do so again with twice the time until that gains less
            than :data:`LEAST_GAIN`, at most for so many seconds at a time; 0: once.
        device (str): Where attackers learn: 'cpu', 'cuda', 'cuda:1', ...

    Raises:
        ValueError: A number is out of range, ``device`` is none, or a limit of memory is set that
            a GPU's driver would break.
    """
    sealed: str
    plain: str
    key_file: str | None = None
    num_victims: int = 24
    num_pairs: int = 400
    scale: int = 0
    seed: int = 0
    budget: float = 300.
    threads: int = 1
    memory: float = 0.
    protector: str | None = None
    window: tuple[float, float] | None = None
    longest: float = 0.
    device: str = 'cpu'

    def __post_init__(self) -> None:
        for name, least in (('num_victims', 2), ('num_pairs', 1), ('scale', 0), ('seed', 0),
                            ('budget', 0), ('threads', 1), ('memory', 0), ('longest', 0)):
            if not getattr(self, name) >= least:  # also of NaN
                raise ValueError(f'{name.replace("_", " ")} must be at least {least}, got '
                                 f'{getattr(self, name)}')
        if device_kind(self.device) == 'cuda' and self.memory:
            raise ValueError('memory cannot be limited on a GPU, whose driver maps more than it '
                             'uses: leave --memory out, or take --device cpu')

    def load(self, key: Key | None = None) -> AttackData:
        """The data; ``key`` stands in for that in ``key_file``.

        Raises what :func:`load_attack_data` and :meth:`Key.load` do.
        """
        if key is None and self.key_file:
            key = Key.load(self.key_file)
        return load_attack_data(self.sealed, self.plain, key, self.num_victims, self.num_pairs,
                             self.scale, self.seed, self.protector, self.window)

    def digest(self, name: str) -> str:
        """Of the sealed files and of all that attacker ``name`` knows, which the key is not."""
        manifest = hashlib.sha256(Path(self.sealed, 'manifest.json').read_bytes()).hexdigest()
        known = asdict(replace(self, key_file=None))
        if self.protector is None:  # so that results without one stay what they were
            del known['protector']
        else:  # wherever it lies; the manifest says which one it is
            known['protector'] = True
        if self.window is None:
            del known['window']
        if not self.longest:
            del known['longest']
        known['device'] = device_kind(self.device)  # whichever GPU of several it is
        if known['device'] == 'cpu':
            del known['device']
        text = json.dumps([known, name, manifest, mmppvit.__version__], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class AttackResult:
    """How it went: ``status`` is 'done', 'not for this scheme', 'failed' or 'out of time'."""
    name: str
    title: str
    needs: str
    status: str
    reason: str = ''
    seconds: float = 0.
    digest: str = ''
    learns_from: str = 'own'
    curve: Sequence[tuple[float, float]] = ()  # seconds of learning, error; the last is what counts


def run_attacks(settings: AttackSettings, data: AttackData,
                attackers: dict[str, type[Attacker]], out: Path,
                progress: Callable[[str], None] = print) -> Iterator[AttackResult]:
    """Run those whose results are not in ``out`` yet.

    An attacker that fails, is killed or takes too long has a result that says so, and the next
    one follows. Reconstructed images lie in ``out/reconstructed/<name>``, see
    :func:`load_reconstructions`.

    Args:
        settings (AttackSettings): Of all of them.
        data (AttackData): What ``settings`` loads.
        attackers (dict): Classes by name, each of which a new process can import.
        out (Path): Folder of the report.
        progress (Callable): Gets one line before and one after each attacker that runs.
    """
    for place, (name, kind) in enumerate(attackers.items(), 1):
        digest, folder = settings.digest(name), out / 'reconstructed' / name
        described = dict(name=name, title=kind.title, needs=kind.needs,
                         learns_from=kind.learns_from)
        why = kind.not_for(data.scheme)
        result = _read_result(folder, digest, len(data.victims))
        if why:
            result = AttackResult(**described, status='not for this scheme', reason=why)
            note = f'{result.status}: {why}'
        elif result is not None:
            note = 'kept from before'
        else:
            progress(f'{place}/{len(attackers)} {name}: {kind.title}')
            result = _run_alone(settings, kind, folder, described, digest)
            note = f'{result.status} after {result.seconds:.0f} s {result.reason}'.rstrip()
        progress(f'{place}/{len(attackers)} {name}: {note}')
        yield result


def _read_result(folder: Path, digest: str, count: int) -> AttackResult | None:
    """What is there from before, if it is whole, of the same settings and not a failure."""
    try:
        data = json.loads((folder / 'result.json').read_text())
        data.setdefault('curve', [])  # results of before have none
        result = AttackResult(**{field.name: data[field.name] for field in fields(AttackResult)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    files = ['orders.npz', *(f'{i}.png' for i in range(count))]
    whole = all((folder / file).is_file() for file in files)
    return result if whole and result.digest == digest and result.status == 'done' else None


def _run_alone(settings: AttackSettings, kind: type[Attacker], folder: Path, described: dict,
               digest: str) -> AttackResult:
    # What is overwritten from here on must not be taken for whole if this is interrupted.
    (folder / 'result.json').unlink(missing_ok=True)
    start = time.monotonic()
    status, reason, curve = _watch(replace(settings, key_file=None), kind, folder)
    result = AttackResult(**described, status=status, reason=reason, digest=digest, curve=curve,
                          seconds=round(time.monotonic() - start, 1))
    write_atomic(folder / 'result.json', json.dumps(asdict(result), indent=1).encode())
    return result


def _watch(settings: AttackSettings, kind: type[Attacker], folder: Path
           ) -> tuple[str, str, list[tuple[float, float]]]:
    """Start the process, wait for what it says or for its end: status, reason, curve."""
    # torch's threads do not survive a fork of this process; the server has none, and imports once.
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_attack, args=(settings, kind, folder, sender))
    process.start()
    sender.close()
    # Times are doubled, so that all of them together are less than twice the longest.
    learning = max(settings.budget, 2 * settings.longest)
    limit = GRACE * learning + MINUTE + PER_VICTIM * settings.num_victims
    ended = False
    try:
        if not receiver.poll(limit if np.isfinite(limit) else None):
            return 'out of time', f'stopped after {limit:.0f} s', []
        said = receiver.recv()
        ended = True
        return said
    except EOFError:
        process.join()
        return 'failed', f'its process ended with exit code {process.exitcode}' + \
            ' (killed, perhaps for memory)' * (process.exitcode == -signal.SIGKILL), []
    finally:
        if ended:
            process.join(10)  # whatever it left running must not hold up the others
        process.kill()
        process.join()
        receiver.close()


def _attack(settings: AttackSettings, kind: type[Attacker], folder: Path,
            sender: Connection) -> None:
    """In the process of its own: learn, reconstruct every victim, say how it ended."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        said = _learn_and_reconstruct(settings, kind, folder)
    except BudgetExceeded as err:
        said = 'out of time', str(err), []
    except Exception as err:  # whatever it is, it belongs into the report
        resource.setrlimit(resource.RLIMIT_DATA, limits)  # to say so takes memory, too
        traceback.print_exc()
        said = 'failed', _out_of_memory(settings, err) or f'{type(err).__name__}: {err}', []
    sender.send(said)


def _learn_and_reconstruct(settings: AttackSettings, kind: type[Attacker],
                       folder: Path) -> tuple[str, str, list[tuple[float, float]]]:
    _seed_everything(settings)
    data = settings.load()  # without the key: orders of victims are not in this process
    if settings.memory:  # from here on: images that memory did not suffice for would be skipped
        allowed = int(min(settings.memory * 2**30, 2**62))
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
    attacker, curve = _learn(settings, kind, data)
    reconstructions = [attacker.reconstruct(victim.encrypted.copy()) for victim in data.victims]
    for victim, reconstruction in zip(data.victims, reconstructions, strict=True):
        _check_reconstruction(data.scheme, victim, reconstruction)
    _save(reconstructions, folder)
    return 'done', '', curve


def _learn(settings: AttackSettings, kind: type[Attacker], data: AttackData
           ) -> tuple[Attacker, list[tuple[float, float]]]:
    """The attacker of the longest learning, and the error after each: from scratch, as the
    learning rate follows the time that is given.
    """
    pairs, curve, times = data.to_learn_from(kind.learns_from, settings.seed), [], 1
    while True:
        seconds = times * settings.budget
        attacker = kind(data.scheme, settings.seed)
        if np.isfinite(settings.budget):  # without a limit of time that of steps has to hold
            attacker.allow_steps(times * max(settings.budget / STEPS_LAST, 1.))
        attacker.fit(pairs, Budget(seconds))
        if attacker.error is None:
            return attacker, curve
        curve.append((seconds, float(attacker.error)))
        if 2 * seconds > settings.longest or not seconds or has_settled(curve):
            return attacker, curve
        times *= 2


def has_settled(curve: Sequence[tuple[float, float]]) -> bool:
    """Whether twice the time no longer helped: the error fell by less than :data:`LEAST_GAIN`."""
    return len(curve) >= 2 and curve[-1][1] > (1 - LEAST_GAIN) * curve[-2][1]


def extrapolated(curve: Sequence[tuple[float, float]], times: float) -> float | None:
    """The error after ``times`` the longest time, by a power law through the curve.

    Learning curves follow power laws until they meet a floor (Hestness et al. 2017), and none is
    assumed here: what is real lies between this and the last error.

    Args:
        curve (Sequence): Seconds of learning and the error after them.
        times (float): More than 1.

    Returns:
        float | None: None for fewer than two points, or errors that are not positive.
    """
    if len(curve) < 2 or min(error for _, error in curve) <= 0:
        return None
    seconds, errors = np.log(np.array(curve, float)).T
    slope = min(float(np.polyfit(seconds, errors, 1)[0]), 0.)  # more time does no harm
    return float(curve[-1][1] * times**slope)


def _check_reconstruction(scheme: Scheme, victim: Pair, reconstruction: Reconstruction) -> None:
    img, order = reconstruction.img, reconstruction.order
    if img.dtype != np.uint8 or img.shape != victim.plain.shape:
        raise ValueError(f'it made a {img.dtype} image of shape {img.shape} of {victim.name}, '
                         f'whose plain one is uint8 of shape {victim.plain.shape}')
    height, width = (length // scheme.side for length in victim.encrypted.shape[:2])
    if order is not None and not np.array_equal(np.sort(order), np.arange(height * width)):
        raise ValueError(f'what it gave for {victim.name} is no order of {height} x {width} '
                         'patches')


def _out_of_memory(settings: AttackSettings, err: Exception) -> str:
    """How that is said, if it is that: libraries have errors of their own for it."""
    texts = ('allocate memory', 'Insufficient memory', 'out of memory')
    if not isinstance(err, MemoryError) and not any(text in str(err) for text in texts):
        return ''
    allowed = f'{settings.memory:g} GiB allowed' if settings.memory else 'no limit was set'
    return f'out of memory ({allowed})'


def _seed_everything(settings: AttackSettings) -> None:
    import torch  # only the processes of attackers need it
    torch.set_num_threads(settings.threads)
    cv2.setNumThreads(settings.threads)
    torch.manual_seed(settings.seed)
    np.random.seed(settings.seed % 2**32)
    if device_kind(settings.device) != 'cpu':  # networks, and the protector, are made there
        torch.set_default_device(settings.device)


def _save(reconstructions: Sequence[Reconstruction], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, reconstruction in enumerate(reconstructions):
        encoded = cv2.imencode('.png', reconstruction.img)[1]
        write_atomic(folder / f'{index}.png', encoded.tobytes())
    orders = {str(i): r.order for i, r in enumerate(reconstructions) if r.order is not None}
    with replace_file(folder / 'orders.npz') as path, path.open('wb') as file:
        np.savez(file, **orders)


def load_reconstructions(out: Path, name: str, count: int) -> list[Reconstruction]:
    """What attacker ``name`` made of the ``count`` victims of a run that ended well."""
    folder = out / 'reconstructed' / name
    with np.load(folder / 'orders.npz', allow_pickle=False) as orders:
        found = {key: orders[key] for key in orders.files}
    return [Reconstruction(cv2.imread(str(folder / f'{i}.png')), found.get(str(i)))
            for i in range(count)]
