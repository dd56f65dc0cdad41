"""Degrees of freedom by the design, beside those that nlme prints and those of a balanced table."""

import numpy as np
import pytest

import lmmcore
from lmmcore.errors import OptionError


def test_containment_is_that_of_nlme():
    data = lmmcore.datasets.load_orthodont()
    fit = lmmcore.mixedlm("distance ~ age * Sex + (age | Subject)", data).fit(reml=False)
    found = fit.t_test(np.eye(4), ddf="containment")
    assert dict(zip(fit.fe_params.index, found.df_denom)) == {
        "Intercept": 79.0, "Sex[T.Female]": 25.0, "age": 79.0, "age:Sex[T.Female]": 79.0,
    }  # fmt: skip


def test_containment_of_nested_factors_is_that_of_nlme():
    data = lmmcore.datasets.load_oats().rename(columns={"yield": "y"})
    data.columns = [c.lower().rstrip("_") for c in data.columns]
    data = data.rename(columns={"yield": "y"})
    fit = lmmcore.mixedlm("y ~ nitro + variety + (1 | block/variety)", data).fit(ddf="containment")
    found = fit.t_test(np.eye(4)).df_denom
    by_name = dict(zip(fit.fe_params.index, found))
    assert by_name["Intercept"] == by_name["nitro"] == 53.0
    assert {v for k, v in by_name.items() if k.startswith("variety")} == {10.0}


def test_between_within():
    data = lmmcore.datasets.load_orthodont()
    fit = lmmcore.mixedlm("distance ~ age * Sex + (1 | Subject)", data).fit(ddf="between-within")
    names = list(fit.fe_params.index)
    df = dict(zip(names, fit.t_test(np.eye(4)).df_denom))
    assert (df["Intercept"], df["Sex[T.Female]"]) == (25.0, 25.0)
    assert (df["age"], df["age:Sex[T.Female]"]) == (79.0, 79.0)
    joint = np.eye(4)[[names.index("age"), names.index("Sex[T.Female]")]]
    assert fit.f_test(joint).df_denom == 25.0  # the smallest of its parts


@pytest.mark.parametrize("ddf", ["containment", "between-within"])
def test_crossed_factors_are_refused_in_words(ddf):
    data = lmmcore.datasets.load_penicillin()
    model = lmmcore.mixedlm("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
    with pytest.raises(OptionError, match="plate crosses sample"):
        model.fit(ddf=ddf)
