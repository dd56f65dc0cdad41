"""All chunks of a bootstrap: seeds, workers, progress, and a file from which it goes on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import generator
from ..errors import DataValueError, OptionError
from .replicates import Replicates

Progress = Callable[[int, int], Any]
Chunk = tuple[int, np.ndarray, dict[int, str]]


def run(
    replicates: Replicates,
    nrep: int,
    rng: Any,
    executor: Executor | None,
    progress: Any,
    resume: Any,
) -> tuple[np.ndarray, list[str]]:
    """Return the statistics of all replicates (nrep, width), and why some failed.

    Each chunk has a seed of its own, a child of that of the run. So the replicates do not depend on who
    computes them, nor in which order.
    """
    size = replicates.chunk
    counts = [min(size, nrep - start) for start in range(0, nrep, size)]
    store = None if resume is None else _Store(resume, replicates, nrep, rng)
    sequence = np.random.SeedSequence(store.entropy if store else entropy_of(rng))
    seeds = sequence.spawn(len(counts))
    values = np.full((nrep, replicates.width), np.nan)
    reasons: dict[int, str] = {}
    done = 0
    waiting = []
    told = _told(progress, nrep)

    def finish(i: int, found: np.ndarray, why: dict[int, str]) -> None:
        nonlocal done
        values[i * size : i * size + len(found)] = found
        reasons.update({i * size + j: text for j, text in why.items()})
        for _ in range(len(found)):
            done += 1
            told(done, nrep)

    for i, count in enumerate(counts):
        known = None if store is None else store.chunk(i, count)
        if known is not None:
            finish(i, *known)
        else:
            waiting.append(i)
    for i, found, why in _computed(replicates, waiting, counts, seeds, executor):
        if store is not None:
            store.add(i, found, why)
        finish(i, found, why)
    return values, [reasons[j] for j in sorted(reasons)]


def _computed(
    replicates: Replicates, waiting: list[int], counts: list[int],
    seeds: list[np.random.SeedSequence], executor: Executor | None,
) -> Iterator[Chunk]:  # fmt: skip
    if executor is None:
        for i in waiting:
            yield i, *replicates.run(counts[i], seeds[i])
        return
    if not hasattr(executor, "submit"):
        raise OptionError(
            f"executor={executor!r}; expected a concurrent.futures.Executor, or another object with `submit`"
        )
    futures = {executor.submit(replicates.run, counts[i], seeds[i]): i for i in waiting}
    try:
        for future in as_completed(futures):
            yield futures[future], *future.result()
    finally:
        for future in futures:
            future.cancel()


def entropy_of(rng: Any) -> Any:
    """Return the entropy of a SeedSequence: of a seed, or drawn from a generator."""
    if isinstance(rng, np.random.SeedSequence):
        return rng.entropy
    if isinstance(rng, np.random.Generator):
        return [int(x) for x in rng.integers(1 << 32, size=4)]
    if isinstance(rng, np.random.RandomState):
        return [int(x) for x in rng.randint(1 << 31, size=4)]
    if rng is None:
        return np.random.SeedSequence().entropy
    generator(rng)  # refuses what is no seed
    return int(rng) if isinstance(rng, (int, np.integer)) else [int(x) for x in np.atleast_1d(rng)]


def _told(progress: Any, nrep: int) -> Progress:
    """Return what is called after each replicate: the user's function, a bar of tqdm, or lines of text."""
    if progress is None or progress is False:
        return lambda done, total: None
    if callable(progress):
        told: Progress = progress
        return told
    if progress is not True:
        raise OptionError(
            f"progress={progress!r}; expected True, False or a function of (done, total)"
        )
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return _line
    bar = tqdm(total=nrep)

    def shown(done: int, total: int) -> None:
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return shown


def _line(done: int, total: int) -> None:
    if done == total or done % max(1, total // 20) == 0:
        sys.stderr.write(f"\r{done}/{total}" + ("\n" if done == total else ""))
        sys.stderr.flush()


class _Store:
    """A file (.npz) with the chunks that are done.

    Raises
    ------
    DataValueError
        It holds those of another bootstrap.
    """

    def __init__(self, path: Any, replicates: Replicates, nrep: int, rng: Any) -> None:
        self.path = Path(path)
        self.chunks: dict[int, tuple[np.ndarray, dict[int, str]]] = {}
        own = _description(replicates)
        self.entropy = entropy_of(rng)
        if self.path.exists():
            known = self._read()
            for key, value in own.items():
                if known["of"].get(key) != value:
                    raise DataValueError(
                        f"resume={str(path)!r} holds a bootstrap with another {key} "
                        f"({known['of'].get(key)!r}, here {value!r}); expected the file of this one. Give "
                        "another name, or delete the file"
                    )
            given = isinstance(rng, (int, np.integer, np.random.SeedSequence))
            if given and json.loads(json.dumps(self.entropy)) != known["entropy"]:
                raise DataValueError(
                    f"resume={str(path)!r} was begun with the seed {known['entropy']}, and rng={rng!r} is "
                    "another; expected the same seed, or rng=None"
                )
            self.entropy = known["entropy"]
        self.meta = {"entropy": self.entropy, "of": own}

    def _read(self) -> dict[str, Any]:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                meta: dict[str, Any] = json.loads(str(file["meta"]))
                for i in meta["chunks"]:
                    why = {int(j): text for j, text in meta["reasons"].get(str(i), {}).items()}
                    self.chunks[i] = (file[f"chunk{i}"], why)
        except (OSError, ValueError, KeyError) as exc:
            raise DataValueError(
                f"resume={str(self.path)!r} is no file of a bootstrap ({exc}); expected one that `resume` "
                "wrote, or a name that is not used yet"
            ) from None
        return meta

    def chunk(self, i: int, count: int) -> tuple[np.ndarray, dict[int, str]] | None:
        """Return a chunk that is done and whole."""
        found = self.chunks.get(i)
        return found if found is not None and len(found[0]) == count else None

    def add(self, i: int, values: np.ndarray, why: dict[int, str]) -> None:
        """Write the file with one more chunk, whole or not at all."""
        self.chunks[i] = (values, why)
        reasons = {
            str(j): {str(a): b for a, b in w.items()} for j, (_, w) in self.chunks.items() if w
        }
        meta = json.dumps({**self.meta, "chunks": sorted(self.chunks), "reasons": reasons})
        arrays = {f"chunk{j}": v for j, (v, _) in self.chunks.items()}
        save: Any = np.savez  # its annotations know no names of arrays
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with open(beside, "wb") as file:
                save(file, meta=np.array(meta), **arrays)
            os.replace(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)


def _description(replicates: Replicates) -> dict[str, Any]:
    """Return what a file must agree with."""
    fit = replicates.results.fit
    digits = np.concatenate([fit.params, [fit.scale, fit.criterion]])
    name = getattr(replicates.fun, "__qualname__", None)
    return {
        "kind": replicates.kind,
        "level": replicates.level,
        "statistic": "params" if replicates.fun is None else str(name),
        "model": hashlib.sha256(np.ascontiguousarray(digits).tobytes()).hexdigest()[:16],
        "chunk size": replicates.chunk,
    }
