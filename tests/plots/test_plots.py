"""What the pictures show: numbers, labels, limits."""

import subprocess
import sys

import numpy as np
import pytest

import lmmcore
from lmmcore.errors import NameNotFoundError, OptionError
from lmmcore.plots import coefficients

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


@pytest.fixture(autouse=True)
def close():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def fit():
    data = lmmcore.datasets.load_sleepstudy()
    return lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()


@pytest.fixture(scope="module")
def oats():
    data = lmmcore.datasets.load_oats()
    return lmmcore.mixedlm("yield_ ~ nitro * Variety + (1 | Block/Variety)", data).fit()


def points(ax, i=0):
    """x and y of the i-th set of markers without a line."""
    lines = [
        line for line in ax.lines if line.get_marker() == "o" and line.get_linestyle() == "None"
    ]
    return lines[i].get_xdata(), lines[i].get_ydata()


def test_caterpillar(fit):
    grid = fit.plot.caterpillar()
    assert len(grid) == 2
    frame = fit.random_effects_frame
    np.testing.assert_allclose(points(grid[1])[0], np.sort(frame["Days"]))
    labels = [t.get_text() for t in grid[1].get_yticklabels()]
    assert labels == list(frame["Days"].sort_values(kind="stable").index)
    assert grid[0].get_xlabel() == "Intercept (95 % interval)"
    table = fit.tidy("ran_vals", conf_int=True)
    segments = grid[0].collections[0].get_segments()
    low = sorted(segment[0][0] for segment in segments)
    np.testing.assert_allclose(low, np.sort(table[table.term == "Intercept"]["conf.low"]))


def test_caterpillar_of_many_levels():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(5000), 2)
    y = rng.standard_normal(5000)[g] + rng.standard_normal(10_000)
    fit = lmmcore.mixedlm("y ~ 1 + (1 | g)", {"y": y, "g": g}).fit()
    (ax,) = fit.plot.caterpillar()
    assert not ax.get_yticks().size
    line = next(line for line in ax.lines if len(line.get_xdata()) == 5000)
    assert np.all(np.diff(line.get_xdata()) >= 0.0)


def test_several_factors(oats):
    grid = oats.plot.caterpillar()
    assert [ax.get_ylabel() for ax in grid] == ["Block", "Block:Variety"]
    (ax,) = oats.plot.caterpillar("Block")
    assert len(points(ax)[0]) == 6
    with pytest.raises(OptionError, match="expected one of Block, Block:Variety"):
        oats.plot.caterpillar("Variety")
    with pytest.raises(OptionError, match="one grouping factor"):
        oats.plot.shrinkage()


def test_shrinkage(fit):
    ax = fit.plot.shrinkage()
    alone, blup = points(ax, 0), points(ax, 1)
    assert len(alone[0]) == len(blup[0]) == 18
    np.testing.assert_allclose(blup[1], fit.random_effects_frame["Days"])
    assert np.var(blup[1]) < np.var(alone[1])
    data = lmmcore.datasets.load_sleepstudy()
    one = data[data.Subject == "308"]
    slope = np.polyfit(one.Days, one.Reaction, 1)[0] - fit.fe_params["Days"]
    assert alone[1][0] == pytest.approx(slope)


def test_heat_maps(fit):
    ax = fit.plot.heat_map()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Intercept", "Days"]
    assert "0.07" in [t.get_text() for t in ax.texts]
    data = lmmcore.datasets.load_orthodont()
    data = data.assign(visit=data.age.astype("category"))
    marginal = lmmcore.mmrm("distance ~ visit", data, "un(visit | Subject)").fit()
    image = marginal.plot.heat_map().images[0].get_array()
    np.testing.assert_allclose(image, marginal.residual_correlation())
    with pytest.raises(OptionError, match="no random effects"):
        marginal.plot.caterpillar()


def test_residuals(fit):
    x, y = points(fit.plot.residuals())
    np.testing.assert_allclose(x, fit.fittedvalues)
    np.testing.assert_allclose(y, fit.residuals("pearson"))
    assert fit.plot.residuals().get_ylabel() == "Pearson residual"
    np.testing.assert_allclose(points(fit.plot.scale_location())[1] ** 2, np.abs(y))
    normal, values = points(fit.plot.qq())
    assert np.all(np.diff(normal) > 0)
    np.testing.assert_allclose(values, np.sort(y))


def test_variogram(fit):
    ax = fit.plot.variogram("Days")
    mean = next(line for line in ax.lines if line.get_label() == "mean")
    assert list(mean.get_xdata()) == list(range(1, 10))
    residual = np.asarray(fit.residuals("pearson")).reshape(18, 10)
    expected = 0.5 * np.mean((residual[:, 1:] - residual[:, :-1]) ** 2)
    assert mean.get_ydata()[0] == pytest.approx(expected)
    with pytest.raises(NameNotFoundError, match="did you mean 'Days'"):
        fit.plot.variogram("days")


def test_fitted_lines(fit):
    grid = fit.plot.fitted_lines(groups=["308", "335"])
    assert [ax.get_title() for ax in grid] == ["Subject 308", "Subject 335"]
    rows = fit.augment().query("Subject == '335'")
    lines = [line for line in grid[1].lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(lines[0].get_ydata(), rows[".fitted"])
    np.testing.assert_allclose(points(grid[1])[1], rows["Reaction"])
    assert len(fit.plot.fitted_lines("Days")) == 12
    for arguments, error in (({"x": "days"}, NameNotFoundError), ({"groups": ["1"]}, OptionError)):
        with pytest.raises(error):
            fit.plot.fitted_lines(**arguments)


def test_coefficients(oats):
    other = lmmcore.mixedlm("yield_ ~ nitro + (1 | Block)", lmmcore.datasets.load_oats()).fit()
    ax = coefficients(oats, other, names=["one", "two"])
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert labels == [n for n in oats.fe_params.index if n != "Intercept"]
    at = labels.index("nitro")
    assert points(ax, 0)[0][at] == oats.fe_params["nitro"]
    assert points(ax, 1)[0][at] == other.fe_params["nitro"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["one", "two"]
    assert oats.plot.coefficients().get_legend() is None
    for given, words in (((), "without results"), ((oats,), "1 fits")):
        with pytest.raises(OptionError, match=words):
            coefficients(*given, names=["a", "b"] if given else None)


def test_means(oats):
    ax = oats.plot.means("Variety")
    table = oats.means("Variety").frame()
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_ydata(), table["mean"])
    assert [t.get_text() for t in ax.get_xticklabels()] == list(table["Variety"].astype(str))
    data = lmmcore.datasets.load_orthodont().assign(visit=lambda d: d.age.astype("category"))
    marginal = lmmcore.mmrm("distance ~ Sex * visit", data, "cs(visit | Subject)").fit()
    by = marginal.plot.means("visit", by="Sex")
    assert [t.get_text() for t in by.get_legend().get_texts()] == ["Male", "Female"]


def test_profiles(fit):
    profiles = fit.profile(["sigma", "Days"])
    grid = profiles.plot()
    assert [ax.get_xlabel() for ax in grid] == ["sigma", "Days"]
    np.testing.assert_allclose(grid[0].lines[0].get_ydata(), profiles["sigma"].zeta)
    (ax,) = profiles.plot("sigma", density=True)
    assert ax.lines[0].get_ydata().max() == pytest.approx(1.0)
    assert len(fit.plot.profile("sigma")) == 1


def test_influence(fit):
    found = fit.get_influence()
    ax = found.plot()
    np.testing.assert_allclose(points(ax)[1], found.cooks_distance)
    assert found.cooks_distance.idxmax() in [t.get_text() for t in ax.texts]
    with pytest.raises(OptionError, match="expected one of cooks_distance"):
        found.plot("cook")


def test_given_axes_are_used(fit):
    figure, grid = pyplot.subplots(1, 2)
    assert fit.plot.residuals(ax=grid[0]) is grid[0]
    assert fit.plot.caterpillar(ax=grid)[1] is grid[1]
    with pytest.raises(OptionError, match="ax has 1 axes; expected 2"):
        fit.plot.caterpillar(ax=grid[0])
    before = dict(matplotlib.rcParams)
    fit.plot.qq()
    assert dict(matplotlib.rcParams) == before
    figure.clear()


def test_matplotlib_is_imported_late():
    code = (
        "import sys, lmmcore; d = lmmcore.datasets.load_sleepstudy(); "
        "f = lmmcore.mixedlm('Reaction ~ Days + (1 | Subject)', d).fit(); f.plot; "
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_matplotlib_the_error_says_what_to_install(fit, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'lmmcore\[plot\]'"):
        fit.plot.qq()
