"""Small classic data sets: published measurements, each with its original citation."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

from ..errors import DataNotFoundError, suggest

__all__ = [
    "load",
    "load_bcg",
    "load_cake",
    "load_dyestuff",
    "load_dyestuff2",
    "load_ergostool",
    "load_machines",
    "load_oats",
    "load_orthodont",
    "load_pastes",
    "load_penicillin",
    "load_pixel",
    "load_rail",
    "load_sleepstudy",
    "names",
]


@cache
def _levels() -> dict[str, dict[str, list[str]]]:
    """Return the levels of the categorical columns of each data set, in order."""
    text = (files(__name__) / "data" / "levels.json").read_text(encoding="utf-8")
    return json.loads(text)


def names() -> tuple[str, ...]:
    """Return the names of the data sets, sorted."""
    return tuple(sorted(_levels()))


def load(name: str) -> pd.DataFrame:
    """Return a data set by name.

    Parameters
    ----------
    name : str
        One of `names`, in any case.

    Raises
    ------
    DataNotFoundError
        No data set has that name.
    """
    key = str(name).lower()
    if key not in _levels():
        raise DataNotFoundError(
            f"data set {name!r} is not part of lmmcore{suggest(key, names())} "
            "(lmmcore.datasets.names() lists them)"
        )
    factors = _levels()[key]
    with (files(__name__) / "data" / f"{key}.csv").open(encoding="utf-8") as file:
        frame = pd.read_csv(file, dtype=dict.fromkeys(factors, str))
    for column, levels in factors.items():
        # Levels are Python strings in every version of pandas.
        categories = pd.Index(np.array(levels, dtype=object), dtype=object)
        frame[column] = pd.Categorical(frame[column].astype(object), categories=categories)
    return frame


def load_sleepstudy() -> pd.DataFrame:
    """Reaction times of 18 people over ten days of a sleep-restriction study (180 rows).

    Days 0 and 1 were training and day 2 the baseline; three hours in bed per night followed.

    Returns
    -------
    DataFrame
        ``Reaction`` (average reaction time, ms), ``Days`` (0 to 9), ``Subject`` (18 levels).

    References
    ----------
    Belenky, G., Wesensten, N. J., Thorne, D. R., et al. (2003). Patterns of performance degradation
    and restoration during sleep restriction and subsequent recovery: a sleep dose-response study.
    Journal of Sleep Research 12, 1-12.

    Examples
    --------
    >>> load_sleepstudy().shape
    (180, 3)
    """
    return load("sleepstudy")


def load_dyestuff() -> pd.DataFrame:
    """Yield of dyestuff from five preparations of each of six batches (30 rows).

    Returns
    -------
    DataFrame
        ``Batch`` (A to F), ``Yield`` (grams of standard color).

    References
    ----------
    Davies, O. L. and Goldsmith, P. L., eds (1972). Statistical Methods in Research and Production,
    4th ed. Oliver and Boyd, section 6.4.

    Examples
    --------
    >>> load_dyestuff().shape
    (30, 2)
    """
    return load("dyestuff")


def load_dyestuff2() -> pd.DataFrame:
    """Generated data without variation between batches: the variance estimate is zero (30 rows).

    Returns
    -------
    DataFrame
        ``Batch`` (A to F), ``Yield`` (no unit).

    References
    ----------
    Box, G. E. P. and Tiao, G. C. (1973). Bayesian Inference in Statistical Analysis.
    Addison-Wesley, section 5.1.2.

    Examples
    --------
    >>> load_dyestuff2().shape
    (30, 2)
    """
    return load("dyestuff2")


def load_pastes() -> pd.DataFrame:
    """Strength of a chemical paste: two tests of three casks from each of ten batches (60 rows).

    Returns
    -------
    DataFrame
        ``strength`` (percent), ``batch`` (A to J), ``cask`` (a to c within the batch), ``sample``
        (batch and cask, 30 levels).

    References
    ----------
    Davies, O. L. and Goldsmith, P. L., eds (1972). Statistical Methods in Research and Production,
    4th ed. Oliver and Boyd, section 6.5.

    Examples
    --------
    >>> load_pastes().shape
    (60, 4)
    """
    return load("pastes")


def load_penicillin() -> pd.DataFrame:
    """Growth inhibition by six samples of penicillin on each of 24 plates (144 rows).

    Returns
    -------
    DataFrame
        ``diameter`` (of the zone of inhibition, mm), ``plate`` (a to x), ``sample`` (A to F).

    References
    ----------
    Davies, O. L. and Goldsmith, P. L., eds (1972). Statistical Methods in Research and Production,
    4th ed. Oliver and Boyd, section 6.6.

    Examples
    --------
    >>> load_penicillin().shape
    (144, 3)
    """
    return load("penicillin")


def load_orthodont() -> pd.DataFrame:
    """Growth of the face of 27 children, measured at the ages of 8, 10, 12 and 14 (108 rows).

    Returns
    -------
    DataFrame
        ``distance`` (from the pituitary to the pterygomaxillary fissure, mm), ``age`` (years),
        ``Subject`` (27 levels), ``Sex`` (Male, Female).

    References
    ----------
    Potthoff, R. F. and Roy, S. N. (1964). A generalized multivariate analysis of variance model
    useful especially for growth curve problems. Biometrika 51, 313-326.

    Examples
    --------
    >>> load_orthodont().shape
    (108, 4)
    """
    return load("orthodont")


def load_machines() -> pd.DataFrame:
    """Productivity of six workers on three brands of machine, three times each (54 rows).

    Returns
    -------
    DataFrame
        ``Worker`` (1 to 6), ``Machine`` (A to C), ``score`` (number and quality of the parts made).

    References
    ----------
    Milliken, G. A. and Johnson, D. E. (1992). Analysis of Messy Data, vol. I: Designed Experiments.
    Chapman and Hall, chapter 23.

    Examples
    --------
    >>> load_machines().shape
    (54, 3)
    """
    return load("machines")


def load_oats() -> pd.DataFrame:
    """Yield of oats in a split-plot trial of three varieties and four doses of nitrogen (72 rows).

    Returns
    -------
    DataFrame
        ``Block`` (I to VI), ``Variety`` (3 levels), ``nitro`` (hundredweight per acre), ``yield_``
        (bushels per acre).

    References
    ----------
    Yates, F. (1935). Complex experiments. Supplement to the Journal of the Royal Statistical
    Society 2, 181-247.

    Examples
    --------
    >>> load_oats().shape
    (72, 4)
    """
    return load("oats")


def load_rail() -> pd.DataFrame:
    """Travel time of ultrasonic waves in six railway rails, three times each (18 rows).

    Returns
    -------
    DataFrame
        ``Rail`` (1 to 6), ``travel`` (nanoseconds beyond 36,100).

    References
    ----------
    Devore, J. L. (2000). Probability and Statistics for Engineering and the Sciences, 5th ed.
    Duxbury.

    Examples
    --------
    >>> load_rail().shape
    (18, 2)
    """
    return load("rail")


def load_ergostool() -> pd.DataFrame:
    """Effort of nine people to rise from each of four types of stool (36 rows).

    Returns
    -------
    DataFrame
        ``effort`` (Borg scale), ``Type`` (T1 to T4), ``Subject`` (1 to 9).

    References
    ----------
    Devore, J. L. (2000). Probability and Statistics for Engineering and the Sciences, 5th ed.
    Duxbury.

    Examples
    --------
    >>> load_ergostool().shape
    (36, 3)
    """
    return load("ergostool")


def load_pixel() -> pd.DataFrame:
    """Pixel intensity in CT scans of ten dogs' lymph nodes, both sides, by day (102 rows).

    Returns
    -------
    DataFrame
        ``Dog`` (1 to 10), ``Side`` (L, R), ``day`` (days after a contrast agent), ``pixel``.

    References
    ----------
    Pinheiro, J. C. and Bates, D. M. (2000). Mixed-Effects Models in S and S-PLUS. Springer,
    section A.24.

    Examples
    --------
    >>> load_pixel().shape
    (102, 4)
    """
    return load("pixel")


def load_cake() -> pd.DataFrame:
    """Breaking angle of chocolate cakes of three recipes at six temperatures (270 rows).

    Returns
    -------
    DataFrame
        ``replicate`` (1 to 15 within a recipe), ``recipe`` (A to C), ``temperature`` (degrees
        Fahrenheit, a factor), ``angle`` (degrees), ``temp`` (the temperature as a number).

    References
    ----------
    Cook, F. E. (1938). Chocolate cake, I. Optimum baking temperature. Master's thesis, Iowa State
    College. Printed in Cochran, W. G. and Cox, G. M. (1957), Experimental Designs, 2nd ed., Wiley,
    p. 300.

    Examples
    --------
    >>> load_cake().shape
    (270, 5)
    """
    return load("cake")


def load_bcg() -> pd.DataFrame:
    """Thirteen trials of the BCG vaccine against tuberculosis (13 rows).

    Returns
    -------
    DataFrame
        ``study`` (13 levels), ``treated_cases``, ``treated_healthy``, ``control_cases``, ``control_healthy``
        (people), ``latitude`` (absolute, degrees), ``log_rr`` (log risk ratio of vaccinated to others) and
        its sampling ``variance``.

    References
    ----------
    Colditz, G. A., Brewer, T. F., Berkey, C. S., et al. (1994). Efficacy of BCG vaccine in the prevention of
    tuberculosis: meta-analysis of the published literature. Journal of the American Medical Association 271,
    698-702.

    Examples
    --------
    >>> load_bcg().shape
    (13, 8)
    """
    return load("bcg")
