"""Models and results pickle, copy and save, and do afterwards what they did before."""

import copy
import functools
import os
import pickle
import stat
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
from patsy import stateful_transform

import lmmcore
from lmmcore.errors import DataTypeError, DataValueError, FormulaError

FACTOR = 3.0


def scaled(values):
    return FACTOR * values


def power(values, exponent):
    return values**exponent


class Shift:
    """A stateful transform of a user: subtracts the minimum."""

    def __init__(self):
        self.least = np.inf

    def memorize_chunk(self, values):
        self.least = min(self.least, float(np.min(values)))

    def memorize_finish(self):
        pass

    def transform(self, values):
        return values - self.least


shift = stateful_transform(Shift)
cube = functools.partial(power, exponent=3)


def table():
    rng = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame(
        {
            "x": rng.uniform(1, 5, n),
            "z": rng.standard_normal(n),
            "w": rng.uniform(1, 2, n),
            "g": np.repeat(np.arange(12), 10),
            "h": np.tile(np.arange(10), 12),
            "f": rng.choice(list("abc"), n),
        }
    )
    frame["c"] = frame["f"].astype("category")
    frame["y"] = frame["x"] + rng.standard_normal(12)[frame["g"]] + rng.standard_normal(n)
    return frame


MODELS = {
    "functions": ("np.log(y + 20) ~ np.log(x) + I(z ** 2) + (1 | g)", {}),
    "text": ("y ~ f + (1 | g)", {}),
    "categories": ("y ~ c * x + (c | g)", {}),
    "C": ("y ~ C(h) + C(f, Sum) + (1 | g)", {}),
    "interaction of numbers": ("y ~ x:z + (x:z | g)", {}),
    "stateful transforms": ("y ~ center(x) + standardize(z) + (1 | g)", {}),
    "splines": ("y ~ bs(x, df=4) + cr(z, df=3, constraints='center') + (1 | g)", {}),
    "tensor product": ("y ~ 0 + te(cr(x, df=3), cr(z, df=3)) + (1 | g)", {}),
    "condition": ("y ~ x + (x > 3 | g)", {}),
    "offset": ("y ~ x + offset(np.log(w)) + (1 | g) + (1 | h)", {"weights": "w"}),
    "re_formula": ("y ~ x", {"groups": "g", "re_formula": "1 + np.log(x)"}),
    "vc_formula": (
        "y ~ x", {"groups": "g", "vc_formula": {"a": "0 + C(f)", "b": "0 + f:x", "c": "0 + center(x)"}},
    ),
    "structure": ("y ~ f + cs(0 + C(f) | g)", {}),
    "variables of the caller": ("y ~ I(x * FACTOR) + (1 | g)", {}),
    "functions of the caller": ("y ~ scaled(x) + cube(z) + (1 | g)", {}),
    "transform of the caller": ("y ~ shift(x) + (shift(x) | g)", {}),
}  # fmt: skip


def fitted(name):
    formula, keywords = MODELS[name]
    return lmmcore.mixedlm(formula, table(), **keywords).fit()


def prediction(results):
    return results.predict(table()[10:40], random_effects=True).to_numpy()


def through_a_file(results, folder):
    results.save(folder / "fit.pickle")
    assert os.listdir(folder) == ["fit.pickle"]
    return lmmcore.MixedLMResults.load(folder / "fit.pickle")


@pytest.mark.parametrize("name", MODELS)
def test_copies_do_what_the_original_does(name, tmp_path):
    fit = fitted(name)
    expected = prediction(fit)
    np.testing.assert_allclose(expected, fit.fittedvalues[10:40], rtol=1e-8)
    for other in (
        pickle.loads(pickle.dumps(fit)),
        pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(fit)))),
        copy.deepcopy(fit),
        copy.copy(fit),
        through_a_file(fit, tmp_path),
    ):
        np.testing.assert_array_equal(prediction(other), expected)
        again, tests = other.wald_test_terms().table, fit.wald_test_terms().table
        pd.testing.assert_frame_equal(again, tests)
        assert other.summary().as_text() == fit.summary().as_text()
        assert str(other.t_test(f"{fit.model.exog_names[-1]} = 0")) == str(
            fit.t_test(f"{fit.model.exog_names[-1]} = 0")
        )
    for model in (pickle.loads(pickle.dumps(fit.model)), copy.deepcopy(fit.model)):
        assert model.fit().criterion == pytest.approx(fit.criterion, rel=1e-12)
        np.testing.assert_array_equal(
            model.predict(fit.fe_params, table()), fit.model.predict(fit.fe_params, table())
        )


def test_pairwise_tests_of_a_copy():
    fit = fitted("C")
    again = pickle.loads(pickle.dumps(fit))
    for term in ("C(h)", "C(f, Sum)"):
        expected = fit.t_test_pairwise(term).result_frame
        pd.testing.assert_frame_equal(again.t_test_pairwise(term).result_frame, expected)


@pytest.mark.parametrize("name", [n for n in MODELS if "caller" not in n])
def test_a_fresh_process(name, tmp_path):
    fit = fitted(name)
    fit.save(tmp_path / "fit.pickle")
    table()[10:40].to_pickle(tmp_path / "new.pickle")
    code = (
        "import sys, numpy, pandas, lmmcore; folder = sys.argv[1]\n"
        "fit = lmmcore.MixedLMResults.load(folder + '/fit.pickle')\n"
        "new = pandas.read_pickle(folder + '/new.pickle')\n"
        "numpy.save(folder + '/found.npy', fit.predict(new, random_effects=True))\n"
        "fit.wald_test_terms(), fit.summary()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), prediction(fit), rtol=1e-12)


SCRIPT = """
import sys, numpy, pandas, lmmcore

def own(values):
    return values ** 2

if sys.argv[2] == "save":
    data = pandas.read_pickle(sys.argv[1] + "/data.pickle")
    lmmcore.mixedlm("y ~ own(x) + (1 | g)", data).fit().save(sys.argv[1] + "/fit.pickle")
else:
    if sys.argv[2] == "without":
        del own
    fit = lmmcore.MixedLMResults.load(sys.argv[1] + "/fit.pickle")
    fit.summary(), fit.wald_test_terms(), fit.predict(), fit.fittedvalues
    data = pandas.read_pickle(sys.argv[1] + "/data.pickle")
    try:
        print(fit.predict(data).sum())
    except lmmcore.LmmcoreError as exc:
        print(exc)
"""


def test_a_function_of_a_script(tmp_path):
    """It is found by its name where the script is run again, and named where there is none."""
    table().to_pickle(tmp_path / "data.pickle")
    (tmp_path / "script.py").write_text(SCRIPT)

    def run(what):
        done = subprocess.run(
            [sys.executable, str(tmp_path / "script.py"), str(tmp_path), what],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    run("save")
    assert float(run("with")) != 0.0
    assert "new rows need 'own'" in run("without")


def in_a_worker(fit):
    return prediction(fit)


def test_another_process_takes_results():
    fit = fitted("splines")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        np.testing.assert_array_equal(pool.submit(in_a_worker, fit).result(), prediction(fit))


def without_a_name(kind):
    def function(values):
        return values + 1.0

    class Local(Shift):
        pass

    return {
        "lambda": lambda values: values + 1.0,
        "local function": function,
        "local transform": stateful_transform(Local),
    }[kind]


@pytest.mark.parametrize("kind", ["lambda", "local function", "local transform"])
def test_what_cannot_be_pickled_is_missed_when_it_is_used(kind, tmp_path):
    local = without_a_name(kind)
    assert callable(local)
    data = table()
    fit = lmmcore.mixedlm("y ~ local(x) + f + (local(x) | g)", data).fit()
    expected = prediction(fit)
    np.testing.assert_array_equal(prediction(copy.deepcopy(fit)), expected)
    for again in (pickle.loads(pickle.dumps(fit)), through_a_file(fit, tmp_path)):
        assert again.summary().as_text() == fit.summary().as_text()
        pd.testing.assert_series_equal(again.predict(), fit.predict())
        pd.testing.assert_series_equal(again.fittedvalues, fit.fittedvalues)
        assert again.model.fit().criterion == pytest.approx(fit.criterion, rel=1e-12)
        again.wald_test_terms()
        for rows in ({}, {"random_effects": True}):
            with pytest.raises(FormulaError, match=r"need '(local|Local)'.*could not be saved"):
                again.predict(data, **rows)
        pickle.dumps(again)


def test_penalized_results(tmp_path):
    model = lmmcore.mixedlm("y ~ C(h) + bs(x, df=4) + (1 | g)", table())
    for fit in (
        model.fit_regularized(alpha=0.1),
        model.fit_regularized(alpha=0.1, variances="joint"),
        model.fit(fe_pen=Ridge()),
    ):
        fit.save(tmp_path / "fit.pickle")
        copies = [lmmcore.MixedLMResults.load(tmp_path / "fit.pickle")]
        for other in (*copies, pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit)):
            assert type(other) is type(fit)
            np.testing.assert_array_equal(other.predict(table()[:9]), fit.predict(table()[:9]))
    path = model.fit_regularized_path()
    again = pickle.loads(pickle.dumps(path))
    np.testing.assert_array_equal(again.coefficients, path.coefficients)


class Ridge:
    def func(self, params):
        return float(np.sum(params[1:] ** 2))

    def deriv(self, params):
        return np.append(0.0, 2.0 * params[1:])


def test_results_without_rows(tmp_path):
    fit = lmmcore.mixedlm("y ~ center(x) * f + (center(x) | g)", table()).fit()
    expected = prediction(fit)
    fit.save(tmp_path / "fit.pickle", remove_data=True)
    again = lmmcore.MixedLMResults.load(tmp_path / "fit.pickle")
    np.testing.assert_array_equal(prediction(again), expected)
    again.wald_test_terms()


class Refuses:
    def __getstate__(self):
        raise NotImplementedError("no pickling")


def test_a_save_that_fails_leaves_the_file_whole(tmp_path):
    path = tmp_path / "fit.pickle"
    fit = fitted("text")
    fit.save(path)
    before = path.read_bytes()
    broken = fitted("C")
    broken.__dict__["note"] = Refuses()
    with pytest.raises(NotImplementedError):
        broken.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["fit.pickle"]
    with pytest.raises(NotImplementedError):
        broken.save(tmp_path / "new.pickle")
    assert os.listdir(tmp_path) == ["fit.pickle"]
    with pytest.raises(FileNotFoundError):
        fit.save(tmp_path / "no such folder" / "fit.pickle")


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_a_file_that_is_replaced_keeps_its_mode_and_links(tmp_path):
    path, link = tmp_path / "fit.pickle", tmp_path / "link.pickle"
    fit = fitted("text")
    fit.save(path)
    path.chmod(0o640)
    link.symlink_to(path)
    fit.save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    fit.save(os.devnull)
    assert not os.path.isfile(os.devnull)


def test_a_file_of_something_else(tmp_path):
    path = tmp_path / "other.pickle"
    fit = fitted("text")
    fit.save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataTypeError, match="cannot be read"):
        lmmcore.MixedLMResults.load(path)


def test_unknown_levels_after_loading():
    again = pickle.loads(pickle.dumps(fitted("categories")))
    with pytest.raises(DataValueError, match="'c' has the level 'q'"):
        again.predict(table().assign(c="q"))
