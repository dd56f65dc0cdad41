"""The rules of a structure, fits by R, positions, and what is said when they are missing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.extension import DataValueError, DesignError
from lmmcore.testing import check_covariance, plugin_checks
from lmmcore_spatial import (
    Exponential,
    ExponentialDecay,
    Gaussian,
    GaussianDecay,
    Matern,
    MaternDecay,
    Spherical,
    SphericalDecay,
    positions,
    read_positions,
)

FOLDER = Path(__file__).parent
STORED = json.loads((FOLDER / "spatial.json").read_text())


@pytest.mark.parametrize("check", plugin_checks("lmmcore-spatial"), ids=str)
def test_rules(check):
    check()


def in_the_plane(k):
    return [f"pos[({i}.0, {(i * i) % 5}.5)]" for i in range(k)]


@pytest.mark.parametrize("structure", [Exponential(), Gaussian(), Spherical(), Matern(0.8)])
def test_rules_in_the_plane(structure):
    check_covariance(structure, sizes=(1, 2, 5), names=in_the_plane)


def spatial():
    data = pd.read_csv(FOLDER / "spatial.csv")
    return data.assign(pos=positions(data["x"], data["y"]))


@pytest.mark.parametrize("stored", STORED, ids=[f"{s['name']}-{s['reml']}" for s in STORED])
def test_beside_r(stored):
    data, name = spatial(), stored["name"]
    if name == "mat08":
        model = lmmcore.mixedlm("z ~ u + (0 + pos | g)", data, covariance={"g": Matern(0.8)})
    else:
        model = lmmcore.mixedlm(f"z ~ u + {name}(0 + pos | g)", data)
    fit = model.fit(reml=stored["reml"])
    assert fit.converged
    assert fit.llf == pytest.approx(stored["loglik"], abs=1e-6)
    assert np.sqrt(fit.scale) == pytest.approx(stored["sigma"], rel=1e-4)
    table = fit.covariance_parameters.set_index("parameter")
    assert table.loc["sd", "estimate"] == pytest.approx(stored["sd"], rel=1e-4)
    assert table.loc["range", "estimate"] == pytest.approx(stored["range"], rel=1e-4)
    assert np.isfinite(table["std_err"]).all()


def test_exponential_is_matern_and_in_one_coordinate_autoregressive():
    data = spatial()
    exponential = lmmcore.mixedlm("z ~ u + exp(0 + pos | g)", data).fit()
    matern = lmmcore.mixedlm("z ~ u + mat12(0 + pos | g)", data).fit()
    assert matern.criterion == pytest.approx(exponential.criterion, abs=1e-8)
    data = data.assign(time=data.groupby("g")["x"].rank("dense").astype(int))
    one = lmmcore.mixedlm("z ~ u + exp(0 + C(time) | g)", data).fit()
    other = lmmcore.mixedlm("z ~ u + ar1(0 + C(time) | g)", data).fit()
    assert one.criterion == pytest.approx(other.criterion, abs=1e-8)


def test_positions_given_as_an_array():
    data = spatial()
    by_name = lmmcore.mixedlm("z ~ u + exp(0 + pos | g)", data).fit()
    given = Exponential(positions=read_positions(list(by_name.cov_re.columns)))
    model = lmmcore.mixedlm("z ~ u + (0 + pos | g)", data, covariance=given)
    assert model.fit().criterion == pytest.approx(by_name.criterion, abs=1e-9)
    with pytest.raises(DataValueError, match="2 positions were given; expected 6"):
        lmmcore.mixedlm(
            "z ~ u + (0 + pos | g)", data, covariance=Exponential(positions=[0.0, 1.0])
        ).fit()


def test_labels_and_positions():
    assert positions([1, 2], [0.25, 1e-7]) == ["(1.0, 0.25)", "(2.0, 1e-07)"]
    names = [f"C(p)[{label}]" for label in positions([1, -2], [0.25, 1e-7])]
    assert read_positions(names).tolist() == [[1.0, 0.25], [-2.0, 1e-7]]
    assert read_positions(["C(t)[T.3]", "C(t)[T.-.5]"]).tolist() == [[3.0], [-0.5]]
    for bad, match in (
        (["x1", "x2"], "'x1' has no position; expected numbers in brackets"),
        (["p[a]", "p[b]"], r"'p\[a\]' has no position"),
        (["p[1]", "p[(1, 2)]"], "different numbers of coordinates"),
    ):
        with pytest.raises(DesignError, match=match):
            read_positions(bad)
    with pytest.raises(DesignError, match="no position"):
        lmmcore.mixedlm("z ~ exp(0 + x + y | g)", spatial()).fit()


def test_bad_positions():
    with pytest.raises(DataValueError, match="two columns have one position"):
        Exponential(positions=[0.0, 1.0, 1.0])
    with pytest.raises(DataValueError, match="finite numbers"):
        Exponential(positions=[0.0, np.nan])
    for nu in (0.0, -1.0, np.nan, 51.0):
        with pytest.raises(DataValueError, match="smoothness"):
            Matern(nu)


@pytest.mark.parametrize(
    "decay",
    [ExponentialDecay(), GaussianDecay(), SphericalDecay(), MaternDecay(0.5), MaternDecay(2.2)],
)
def test_correlograms(decay):
    h = np.array([0.05, 0.3, 0.9, 1.7, 4.0])
    assert decay.value(np.zeros(1))[0] == 1.0
    slope = (decay.value(h + 1e-6) - decay.value(h - 1e-6)) / 2e-6
    np.testing.assert_allclose(decay.slope(h), slope, atol=1e-8)
    assert np.all(np.diff(decay.value(h)) <= 0.0)
    far = decay.value(np.array([1e3, 1e6]))
    np.testing.assert_allclose(far, 0.0, atol=1e-12)
    np.testing.assert_allclose(MaternDecay(0.5).value(h), np.exp(-h), rtol=1e-12)
