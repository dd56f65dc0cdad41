"""Profiles of a fixed effect beside fits of fresh models with the effect as an offset."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.crossproducts.held_column import with_held_column
from lmmcore.errors import OptionError


def table():
    rng = np.random.default_rng(2)
    g, h = np.repeat(np.arange(20), 6), rng.integers(0, 7, 120)
    data = pd.DataFrame({"g": g, "h": h, "x": rng.standard_normal(120), "t": np.tile(range(6), 20)})
    data["z"] = 1e4 + data.x + 0.1 * rng.standard_normal(120)  # far from zero, nearly dependent
    data["twice"] = 2.0 * data.x - 1.0
    data["w"] = rng.uniform(0.5, 2.0, 120)
    noise = rng.standard_normal(20)[g] * (1.0 + 0.2 * data.t) + rng.standard_normal(7)[h]
    return data.assign(y=data.x + noise + rng.standard_normal(120))


MODELS = {
    "intercepts": ("y ~ x + t + (1 | g)", {}, "x"),
    "the constant": ("y ~ x + t + (1 + t | g)", {}, "Intercept"),
    "the last column": ("y ~ x + t + (1 + t | g)", {}, "t"),
    "nearly dependent": ("y ~ x + z + t + (1 | g)", {}, "x"),
    "dependent columns": ("y ~ t + x + twice + (1 | g)", {}, "x"),
    "no constant": ("y ~ 0 + x + t + (0 + x | g)", {}, "t"),
    "one column": ("y ~ 0 + x + (1 | g)", {}, "x"),
    "weights": ("y ~ x + t + (t || g)", {"weights": "w"}, "t"),
    "a structure": ("y ~ x + ar1(0 + C(t) | g)", {}, "x"),
    "crossed": ("y ~ x + t + (1 + t | g) + (1 | h)", {"weights": "w"}, "t"),
    "components": (
        "y ~ x + t", {"groups": "g", "re_formula": "1", "vc_formula": {"c": "0 + C(h)"}}, "t",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.filterwarnings("ignore:dropped")
def test_beside_fresh_models(name, reml):
    formula, keywords, effect = MODELS[name]
    data = table()
    fit = lmmcore.mixedlm(formula, data, **keywords).fit(reml=reml)
    j = fit.model.exog_names.index(effect)
    values = fit.fe_params.iloc[j] + np.array([-2.0, 0.0, 1.5]) * fit.bse_fe.iloc[j]
    found = fit.profile_fe(effect, values)
    np.testing.assert_array_equal(found[:, 0], values)
    np.testing.assert_array_equal(fit.profile_fe(j, values), found)
    column = fit.model.exog[:, j]
    left, right = formula.split("~")
    for value, llf in found:
        # The column leaves X, and its part of y is subtracted.
        others = [name for name in fit.model.exog_names if name not in (effect, "Intercept")]
        constant = "1" if "Intercept" in fit.model.exog_names and effect != "Intercept" else "0"
        start = right.index("ar1(") if "ar1(" in right else right.find("(")
        terms = right[start:] if start >= 0 else ""
        fixed = " + ".join([constant, *others])
        fresh = lmmcore.mixedlm(
            f"{left} ~ {fixed}" + (f" + {terms}" if terms else ""),
            data.assign(y=data.y - value * column), **keywords,
        ).fit(reml=False)  # fmt: skip
        assert llf == pytest.approx(fresh.llf, abs=1e-6)
    if not reml:
        assert found[1, 1] == pytest.approx(fit.llf, abs=1e-6)
    assert found[0, 1] < found[1, 1] > found[2, 1]


def test_no_row_is_read():
    fit = lmmcore.mixedlm("y ~ x + t + (1 + t | g)", table()).fit()
    before = fit.profile_fe("x")
    fit.remove_data()
    np.testing.assert_array_equal(fit.profile_fe("x"), before)
    assert len(before) == 9


def test_products_are_those_of_the_other_columns():
    """Gram matrices of [X y] are those of the rows, in the basis that goes with them."""
    data = table()
    model = lmmcore.mixedlm("y ~ x + z + t + (1 | g)", data, weights="w")
    for j, value in ((0, 3.0), (1, -2.0), (3, 0.5)):
        cp = with_held_column(model.crossproducts, j, value)
        x = np.delete(model.exog, j, axis=1)
        rows = np.column_stack([x[:, cp.basis.order], model.endog - value * model.exog[:, j]])
        rows = (rows - cp.basis.shift) @ cp.basis.matrix
        expected = rows.T @ (data.w.to_numpy()[:, None] * rows)
        np.testing.assert_allclose(cp.total, expected, atol=1e-7 * len(data))
        np.testing.assert_allclose(cp.total[:-1, :-1], np.eye(3), atol=1e-9)
        assert 0.2 < cp.total[-1, -1] / len(data) < 5.0
        assert len(cp.fixed_names) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("q",), "'q' is not a fixed effect"),
        ((7,), "expected 0 to 2"),
        ((True,), "True is not a fixed effect"),
        (("x", [np.nan]), "finite"),
    ],
)
def test_bad_arguments(arguments, message):
    fit = lmmcore.mixedlm("y ~ x + t + (1 | g)", table()).fit()
    with pytest.raises(OptionError, match=message):
        fit.profile_fe(*arguments)
