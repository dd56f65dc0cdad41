"""Bad input: one clear error of lmmcore's own classes, before anything is computed."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLMParams, errors
from lmmcore.design.components import VCSpec


def table(n=24, **columns):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "y": rng.standard_normal(n) + np.repeat(rng.standard_normal(6), n // 6),
            "x": rng.standard_normal(n),
            "g": np.repeat(np.arange(6), n // 6),
            "w": rng.uniform(1, 2, n),
        }
    )
    return frame.assign(**columns)


def spoiled(name, value, row=3):
    frame = table()
    frame[name] = frame[name].astype(object if isinstance(value, str) or value is None else float)
    frame.loc[row, name] = value
    return frame


FORMULA = "y ~ x + (1 + x | g)"

# formula, data, keywords, class, built-in class, words of the message
BY_FORMULA = {
    "NaN in y": (FORMULA, spoiled("y", np.nan), {"missing": "raise"}, errors.DataValueError, ValueError,
                 ["endog 'y'", "NaN", "row 3", "missing='drop'"]),
    "infinity in y": (FORMULA, spoiled("y", np.inf), {}, errors.DataValueError, ValueError,
                      ["endog 'y'", "infinity", "row 3"]),
    "NaN in X": (FORMULA, spoiled("x", np.nan), {"missing": "raise"}, errors.DataValueError, ValueError,
                 ["exog column 'x'", "NaN", "row 3", "missing='drop'"]),
    "infinity in X": (FORMULA, spoiled("x", -np.inf), {}, errors.DataValueError, ValueError,
                      ["exog column 'x'", "infinity"]),
    "NaN in a slope": ("y ~ 1 + (1 + x | g)", spoiled("x", np.nan), {"missing": "raise"},
                       errors.DataValueError, ValueError, ["exog_re column 'x'", "NaN", "row 3"]),
    "missing group": (FORMULA, spoiled("g", np.nan), {"missing": "raise"}, errors.DataValueError, ValueError,
                      ["groups 'g'", "missing in 1 of 24", "row 3", "missing='drop'"]),
    "missing category": ("y ~ f + (1 | g)", spoiled("y", 1.0).assign(f=["u", None, "v", "u"] * 6),
                         {"missing": "raise"}, errors.DataValueError, ValueError,
                         ["'f' is missing in 6 of 24", "row 1", "missing='drop'"]),
    "missing level of a component": ("y ~ x", table(f=["u", None, "v", "u"] * 6),
                                     {"groups": "g", "vc_formula": {"f": "0 + C(f)"}, "missing": "raise"},
                                     errors.DataValueError, ValueError,
                                     ["'f' is missing", "missing='drop'"]),
    "NaN weight": (FORMULA, spoiled("w", np.nan), {"weights": "w", "missing": "raise"}, errors.DataValueError,
                   ValueError, ["weights", "nan", "row 3"]),
    "negative weight": (FORMULA, spoiled("w", -1.0), {"weights": "w"}, errors.DataValueError,
                        ValueError, ["weights", "-1.0", "row 3", "positive"]),
    "zero weight": (FORMULA, spoiled("w", 0.0), {"weights": "w"}, errors.DataValueError,
                    ValueError, ["weights", "row 3", "Leave out"]),
    "infinite weight": (FORMULA, spoiled("w", np.inf), {"weights": "w"}, errors.DataValueError,
                        ValueError, ["weights", "inf", "row 3"]),
    "no rows": (FORMULA, table()[:0], {}, errors.DataValueError, ValueError, ["no rows"]),
    "no rows left": (FORMULA, table(x=np.nan), {"missing": "drop"}, errors.DataValueError,
                     ValueError, ["no rows", "24 with missing values"]),
    "one group": (FORMULA, table(g=1), {}, errors.DesignError, ValueError,
                  ["one group", "g = 1", "at least two"]),
    "every row its own group": ("y ~ x + (1 | g)", table(g=np.arange(24)), {}, errors.DesignError,
                                ValueError, ["every row is its own group", "24"]),
    "k larger than every group": ("y ~ x + (1 + x + w | g)", table(g=np.arange(24) // 2), {},
                                  errors.DesignError, ValueError,
                                  ["3 random coefficients", "more than 2 rows"]),
    "unknown variable": ("y ~ z + (1 | g)", table(), {}, errors.NameNotFoundError, KeyError,
                         ["'z'", "not a column"]),
    "misspelt variable": ("yy ~ x + (1 | g)", table(), {}, errors.NameNotFoundError, KeyError,
                          ["'yy'", "did you mean 'y'"]),
    "unknown variable in a slope": ("y ~ x + (1 + zz | g)", table(), {},
                                    errors.NameNotFoundError, KeyError, ["'zz'"]),
    "unknown variable in a function": ("y ~ np.log(q) + (1 | g)", table(), {},
                                       errors.NameNotFoundError, KeyError, ["'q'"]),
    "unknown group": ("y ~ x + (1 | school)", table(), {}, errors.NameNotFoundError, KeyError,
                      ["'school'", "not a column"]),
    "unknown groups=": ("y ~ x", table(), {"groups": "G"}, errors.NameNotFoundError, KeyError,
                        ["groups=", "'G'"]),
    "unknown weights": (FORMULA, table(), {"weights": "v"}, errors.NameNotFoundError, KeyError,
                        ["weights=", "'v'"]),
    "text as response": (FORMULA, table(y=list("abcdefghijklmnopqrstuvwx")), {},
                         errors.DataTypeError, TypeError, ["'y'", "text", "numbers"]),
    "text as weights": (FORMULA, table(w="heavy"), {"weights": "w"}, errors.DataTypeError,
                        TypeError, ["weights", "text such as 'heavy'", "numbers"]),
    "constant response": (FORMULA, table(y=3.5), {}, errors.DesignError, ValueError,
                          ["response is constant"]),
    "response in X": ("y ~ x + z + (1 | g)", table().assign(z=lambda d: d.y), {},
                      errors.ConvergenceError, RuntimeError, ["reproduce the response exactly"]),
    "response constant in groups": ("y ~ 1 + (1 | g)", table().assign(y=lambda d: d.g * 1.5), {},
                                    errors.ConvergenceError, RuntimeError,
                                    ["residual variance is zero"]),
    "more columns than rows": ("y ~ x + w + (1 | g)", table()[::8], {}, errors.DesignError,
                               ValueError, ["rows"]),
    "zero slope column": ("y ~ x + (1 + z | g)", table(z=0.0), {}, errors.DesignError, ValueError,
                          ["'z'", "does not vary"]),
    "no tilde": ("y x", table(), {}, errors.FormulaError, ValueError, ["'~'", "response ~ terms"]),
    "two tildes": ("y ~ x ~ g", table(), {}, errors.FormulaError, ValueError, ["'~'"]),
    "no right side": ("y ~ ", table(), {}, errors.FormulaError, ValueError, ["'~'"]),
    "open bracket": ("y ~ x + (1 | g", table(), {}, errors.FormulaError, ValueError, ["not closed"]),
    "closing bracket": ("y ~ x + 1 | g)", table(), {}, errors.FormulaError, ValueError, ["bracket"]),
    "bar outside": ("y ~ x + 1 | g", table(), {}, errors.FormulaError, ValueError,
                    ["'|'", "parentheses"]),
    "empty bar": ("y ~ x + ( | g)", table(), {}, errors.FormulaError, ValueError,
                  ["(terms | group)"]),
    "no group in bar": ("y ~ x + (1 | )", table(), {}, errors.FormulaError, ValueError,
                        ["(terms | group)"]),
    "random term without columns": ("y ~ x + (0 | g)", table(), {}, errors.FormulaError,
                                    ValueError, ["no columns"]),
    "subtracted random term": ("y ~ x - (1 | g)", table(), {}, errors.FormulaError, ValueError,
                               ["subtracted"]),
    "dangling plus": ("y ~ x + + w + (1 | g)", table(), {}, errors.FormulaError, ValueError,
                      ["no term after"]),
    "trailing plus": ("y ~ x + (1 | g) +", table(), {}, errors.FormulaError, ValueError,
                      ["no term after"]),
    "syntax error": ("y ~ x ** + (1 | g)", table(), {}, errors.FormulaError, ValueError, ["x **"]),
    "formula is not text": (["y", "x"], table(), {}, errors.FormulaError, ValueError, ["list"]),
    "no random term": ("y ~ x", table(), {}, errors.FormulaError, ValueError,
                       ["no groups", "(1 | g)"]),
    "two spellings": (FORMULA, table(), {"groups": "g"}, errors.FormulaError, ValueError,
                      ["use only one of the two"]),
    "a level per row": ("y ~ x + (1 | g) + (1 | w)", table(), {}, errors.DesignError, ValueError,
                        ["every row is its own group", "24 groups of w", "repeated labels"]),
    "a nested level per row": ("y ~ x + (1 | g/w)", table(), {}, errors.DesignError, ValueError,
                               ["every row is its own group", "g:w"]),
    "a factor of one level": ("y ~ x + (1 | g) + (1 | h)", table(h="a"), {}, errors.DesignError,
                              ValueError, ["one group (h = a)", "Remove the term"]),
    "a term given twice": ("y ~ x + (1 | g) + (1 + x | g)", table(), {}, errors.DesignError,
                           ValueError, ["'g' of g is given twice", "Remove one"]),
    "a slope given twice": ("y ~ x + (x | g) + (1 | h) + (0 + x | g)",
                            table(h=np.arange(24) % 3), {}, errors.DesignError, ValueError,
                            ["'x' of g is given twice"]),
    "slopes that no level identifies": ("y ~ x + (1 | g) + (1 + x + w | h)",
                                        table(h=np.arange(24) // 2), {}, errors.DesignError,
                                        ValueError, ["group of h has 3 random", "more than 2 rows"]),
    "a second group missing": ("y ~ x + (1 | g) + (1 | h)", table(h=["a", None, "b", "b"] * 6),
                               {"missing": "raise"}, errors.DataValueError, ValueError,
                               ["groups 'h'", "missing in 6 of 24", "missing='drop'"]),
    "interaction of no observed cell": ("y ~ x + (1 | g:h)", table(h=[None] * 24),
                                        {"missing": "drop"}, errors.DataValueError, ValueError,
                                        ["no rows", "24 with missing values"]),
    "zero slope of a crossed factor": ("y ~ x + (1 | g) + (0 + z | h)",
                                       table(z=0.0, h=np.arange(24) % 3), {}, errors.DesignError,
                                       ValueError, ["'z' of h", "zero in every row"]),
    "exact by two factors": ("y ~ 1 + (1 | g) + (1 | h)",
                             table(h=np.arange(24) % 3).assign(y=lambda d: d.g * 1.5 + d.h**2), {},
                             errors.ConvergenceError, RuntimeError, ["residual variance is zero"]),
    "one factor under two names": ("y ~ x + (1 | g) + (1 | h)",
                                   table(h=np.repeat(list("abcdef"), 4)), {}, errors.DesignError,
                                   ValueError, ["g and h have the same levels", "Remove one"]),
    "subtracted offset of text": ("y ~ x + offset(h) + (1 | g)", table(h="a"), {},
                                  errors.FormulaError, ValueError, ["offset"]),
    "computed group": ("y ~ x + (1 | x + g)", table(), {}, errors.FormulaError, ValueError,
                       ["group 'x + g'"]),
    "unknown missing": (FORMULA, table(), {"missing": "omit"}, errors.OptionError, ValueError,
                        ["missing='omit'", "'drop'"]),
    "short groups": ("y ~ x", table(), {"groups": np.zeros(5)}, errors.DataValueError, ValueError,
                     ["'Group' has 5 entries", "24 rows"]),
    "short groups with missing values": ("y ~ x", spoiled("x", np.nan),
                                         {"groups": np.zeros(5), "missing": "drop"},
                                         errors.DataValueError, ValueError, ["5 entries", "24 rows"]),
    "short weights": (FORMULA, table(), {"weights": np.ones(3), "missing": "drop"},
                      errors.DataValueError, ValueError, ["'weights' has 3", "24 rows"]),
    "groups of more than the subset": ("y ~ x", table(),
                                       {"groups": table()["g"].to_numpy(), "subset": table()["x"] > 0},
                                       errors.DataValueError, ValueError, ["24 entries", "subset"]),
    "data is no table": (FORMULA, 17, {}, errors.DataTypeError, TypeError, ["int", "data frame"]),
    "ragged mapping": (FORMULA, {"y": [1, 2, 3], "x": [1, 2], "g": [1, 1, 2]}, {},
                       errors.DataValueError, ValueError, ["not a table"]),
    "re_formula is not text": ("y ~ x", table(), {"groups": "g", "re_formula": 1}, errors.FormulaError,
                              ValueError, ["re_formula=1", "'1 + x'"]),
    "a component is not text": ("y ~ x", table(), {"groups": "g", "vc_formula": {"w": 3}},
                               errors.FormulaError, ValueError, ["vc_formula['w']=3"]),
    "groups is a number": ("y ~ x", table(), {"groups": 3}, errors.DataTypeError, TypeError,
                           ["groups=3", "name of a column"]),
    "vc_formula is text": ("y ~ x", table(), {"groups": "g", "vc_formula": "0 + C(w)"},
                           errors.DataTypeError, TypeError, ["vc_formula", "{name: formula}"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_FORMULA, ids=str)
def test_formula(case):
    formula, data, keywords, own, builtin, words = BY_FORMULA[case]
    with pytest.raises(own) as caught:
        lmmcore.mixedlm(formula, data, **keywords).fit()
    check(caught.value, builtin, words)


def check(error, builtin, words):
    assert isinstance(error, lmmcore.LmmcoreError)
    assert isinstance(error, builtin)
    message = str(error)
    for word in words:
        assert word in message, f"{word!r} is not in: {message}"
    assert len(message) < 600


ONE = np.ones((4, 1))
Y, X, G = table()["y"].to_numpy(), np.column_stack([np.ones(24), table()["x"]]), table()["g"]

# positional arguments, keywords, class, words
BY_ARRAYS = {
    "short exog": ((Y, X[:20], G), {}, errors.DataValueError, ["24 rows", "20"]),
    "short groups": ((Y, X, G[:9]), {}, errors.DataValueError, ["groups has 9"]),
    "short exog_re": ((Y, X, G), {"exog_re": X[:3]}, errors.DataValueError, ["exog_re", "3"]),
    "short weights": ((Y, X, G), {"weights": Y[:2] ** 2}, errors.DataValueError, ["weights has 2"]),
    "matrix as endog": ((X, X, G), {}, errors.DataValueError, ["endog", "(24, 2)"]),
    "matrix as groups": ((Y, X, X), {}, errors.DataValueError, ["groups", "(24, 2)"]),
    "cube as exog": ((Y, X[:, :, None], G), {}, errors.DataValueError, ["exog", "(24, 2, 1)"]),
    "text in exog": ((Y, X.astype(str), G), {}, errors.DataTypeError, ["exog", "numbers"]),
    "object text in exog": ((Y, np.where(X > 0, "a", X.astype(object)), G), {},
                            errors.DataTypeError, ["exog", "text"]),
    "complex endog": ((Y * 1j, X, G), {}, errors.DataTypeError, ["endog", "complex"]),
    "no rows": ((Y[:0], X[:0], G[:0]), {}, errors.DataValueError, ["no rows"]),
    "one group": ((Y, X, np.zeros(24)), {}, errors.DesignError, ["one group"]),
    "own groups": ((Y, X, np.arange(24)), {}, errors.DesignError, ["own group"]),
    "nan label": ((Y, X, np.where(Y > 0, np.nan, 1.0)), {}, errors.DataValueError, ["missing in"]),
    "None label": ((Y, X, [None, *"aabbcc", *"d" * 17]), {}, errors.DataValueError, ["missing in 1"]),
    "unknown missing": ((Y, X, G), {"missing": None}, errors.OptionError, ["missing=None"]),
    "too few matrices": ((Y, X, G), {"exog_vc": VCSpec(["a"], [[["1"]]], [[np.ones((4, 1))]])},
                         errors.DataValueError, ["1 matrices", "6 groups"]),
    "wrong matrices": ((Y, X, G), {"exog_vc": VCSpec(["a"], [[["1"]] * 6], [[np.ones((3, 1))] * 6])},
                       errors.DataValueError, ["(3, 1)", "(4, columns)"]),
    "mapping without a group": ((Y, X, G), {"exog_vc": {"a": {0: np.ones((4, 1))}}},
                                errors.DataValueError, ["'a'", "no matrix for group 1"]),
    "two names and one list": ((Y, X, G), {"exog_vc": VCSpec(["a", "b"], [[["1"]] * 6], [[ONE] * 6])},
                               errors.DataValueError, ["mats of length 1", "2", "'a', 'b'"]),
    "a name of a component twice": ((Y, X, G), {"exog_vc": VCSpec(["a", "a"], [], [[ONE] * 6] * 2)},
                                    errors.DataValueError, ["names=['a', 'a']", "different"]),
    "names is text": ((Y, X, G), {"exog_vc": VCSpec("a", [], [[ONE] * 6])}, errors.DataTypeError,
                      ["names='a'", "list of names"]),
    "column names of other groups": ((Y, X, G), {"exog_vc": VCSpec(["a"], [[["1"]] * 5], [[ONE] * 6])},
                                     errors.DataValueError, ["5 lists of column names", "6"]),
    "column names of other columns": ((Y, X, G),
                                      {"exog_vc": VCSpec(["a"], [[["1", "2"]] * 6], [[ONE] * 6])},
                                      errors.DataValueError, ["2 column names", "expected 1"]),
    "text as a matrix": ((Y, X, G), {"exog_vc": VCSpec(["a"], [], [[np.full((4, 1), "u")] * 6])},
                         errors.DataTypeError, ["component 'a'", "text", "numbers"]),
    "complex matrix": ((Y, X, G), {"exog_vc": {"a": dict.fromkeys(range(6), 1j * ONE)}},
                       errors.DataTypeError, ["component 'a'", "complex"]),
    "list in a mapping": ((Y, X, G), {"exog_vc": {"a": [ONE] * 6}}, errors.DataTypeError,
                          ["'a' is a list", "{group label: matrix}"]),
    "two responses": ((table()[["y", "x"]], X, G), {}, errors.DataValueError, ["endog", "(24, 2)"]),
    "exog_vc of another type": ((Y, X, G), {"exog_vc": np.ones(3)}, errors.DataTypeError,
                                ["exog_vc", "VCSpec"]),
    "huge values": ((Y * 1e200, X, G), {}, errors.DataValueError, ["too large"]),
    "large values": ((Y * 1e100, X, G), {}, errors.DataValueError, ["mean square of the response"]),
    "tiny values": ((Y * 1e-155, X, G), {}, errors.DataValueError,
                    ["mean square of the response", "Rescale"]),
    "tiny columns": ((Y, np.c_[X, 1e-155 * Y[::-1]], G), {}, errors.DataValueError,
                     ["mean square of a column of exog"]),
    "tiny random slopes": ((Y, X, G), {"exog_re": np.c_[X[:, 0], 1e-155 * Y]}, errors.DesignError,
                           ["'x_re2'", "too small for floating point"]),
    "tiny weights": ((Y, X, G), {"weights": np.full(24, 5e-324)}, errors.DataValueError,
                     ["mean square of the response (with the weights"]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using deprecated variance components format")
@pytest.mark.parametrize("case", BY_ARRAYS, ids=str)
def test_arrays(case):
    arguments, keywords, own, words = BY_ARRAYS[case]
    with pytest.raises(own) as caught:
        lmmcore.MixedLM(*arguments, **keywords).fit()
    check(caught.value, (ValueError, TypeError), words)


def params(cov_re, k_fe=2):
    return MixedLMParams.from_components(np.ones(k_fe), np.array(cov_re, dtype=float))


# keywords of fit, class, words
BY_FIT = {
    "unknown method": ({"method": "nonsense"}, errors.OptionError, ["optimizer 'nonsense'", "known:"]),
    "misspelt method": ({"method": "bfg"}, errors.OptionError, ["did you mean 'bfgs'"]),
    "no method": ({"method": []}, errors.OptionError, ["method=[]"]),
    "method of another type": ({"method": 3}, errors.OptionError, ["method=3"]),
    "unknown option": ({"maxit": 3}, errors.OptionError, ["'maxit'", "did you mean 'maxiter'"]),
    "reml of another type": ({"reml": "ML"}, errors.OptionError, ["reml='ML'"]),
    "start of wrong length": ({"start_params": [1.0]}, errors.DataValueError, ["(1,)", "3 finite"]),
    "start with NaN": ({"start_params": [1.0, np.nan, 1]}, errors.DataValueError, ["finite"]),
    "start of text": ({"start_params": "abc"}, errors.DataTypeError, ["start_params", "'abc'"]),
    "start is a mapping": ({"start_params": {}}, errors.DataTypeError, ["start_params", "a dict"]),
    "start is no covariance": ({"start_params": params([[1, 2], [2, 1]])}, errors.DataValueError,
                               ["start_params has cov_re", "between -1 and 1"]),
    "start is not symmetric": ({"start_params": params([[1, 0.5], [0, 1]])}, errors.DataValueError,
                               ["start_params has cov_re", "symmetric"]),
    "start with NaN in cov_re": ({"start_params": params([[np.nan, 0], [0, 1]])},
                                 errors.DataValueError, ["start_params has cov_re", "finite"]),
    "start of another β": ({"start_params": params(np.eye(2), 3)}, errors.DataValueError,
                           ["3 fixed effects", "expected 2"]),
    "free is an array": ({"free": np.eye(2)}, errors.DataTypeError, ["free is a ndarray", "1 (est"]),
    "free is text": ({"free": "yes"}, errors.DataTypeError, ["free is a str", "MixedLMParams"]),
    "free of another shape": ({"free": params(np.eye(3))}, errors.DataValueError,
                              ["free has cov_re of shape (3, 3)", "(2, 2)"]),
    "free is no mask": ({"free": params(2 * np.eye(2))}, errors.DataValueError, ["2.0", "0 (held"]),
    "free of another β": ({"free": params(np.eye(2), 4)}, errors.DataValueError,
                          ["free has fe_params", "expected 2 ones"]),
    "β held fixed": ({"free": MixedLMParams.from_components([1.0, 0.0], np.eye(2))},
                     errors.DataValueError, ["always estimated", "subtract its column"]),
    "no iterations": ({"maxiter": 0}, errors.OptionError, ["maxiter=0", "1 or more"]),
    "maxiter is text": ({"maxiter": "10"}, errors.OptionError, ["maxiter='10'", "whole number"]),
    "callback is no function": ({"callback": 3}, errors.OptionError, ["callback=3"]),
    "penalty is a class": ({"fe_pen": str}, errors.OptionError, ["fe_pen", "func and deriv"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_FIT, ids=str)
def test_fit(case):
    keywords, own, words = BY_FIT[case]
    model = lmmcore.mixedlm(FORMULA, table())
    with pytest.raises(own) as caught:
        model.fit(**keywords)
    check(caught.value, (ValueError, TypeError), words)


BAD = params([[1.0, 2.0], [2.0, 1.0]])
NAN = MixedLMParams.from_components([np.nan, 0.0], np.eye(2))

# a call of model and fit, class, words
BY_CALL = {
    "loglike of text": (lambda m, f: m.loglike("ab"), errors.DataTypeError, ["params is the text 'ab'"]),
    "loglike of infinity": (lambda m, f: m.loglike([np.inf, 0, 1]), errors.DataValueError, ["inf"]),
    "loglike of NaN as β": (lambda m, f: m.loglike(NAN, False), errors.DataValueError, ["fe_params"]),
    "hessian of NaN as β": (lambda m, f: m.hessian(NAN), errors.DataValueError, ["fe_params", "nan"]),
    "score of NaN as β": (lambda m, f: m.score_full(NAN), errors.DataValueError, ["fe_params"]),
    "no cov_re": (lambda m, f: m.get_fe_params(None, None), errors.DataValueError,
                  ["shape (0, 0)", "expected (2, 2)"]),
    "scale at NaN": (lambda m, f: m.get_scale([np.nan, 1], np.eye(2), []), errors.DataValueError,
                     ["fe_params", "finite"]),
    "scale at text": (lambda m, f: m.get_scale("a", np.eye(2), []), errors.DataTypeError,
                      ["fe_params is the text"]),
    "scale of a draw": (lambda m, f: m.get_distribution(f.params, "a"), errors.DataTypeError,
                        ["scale is the text 'a'"]),
    "short β": (lambda m, f: m.predict([1.0]), errors.DataValueError, ["params", "2 finite"]),
    "NaN in β": (lambda m, f: m.predict([np.nan, 1.0]), errors.DataValueError, ["params", "nan"]),
    "number for rows": (lambda m, f: m.group_list(3), errors.DataValueError, ["0 rows", "24"]),
    "text as exog": (lambda m, f: f.predict(table(f="u"), transform=False), errors.DataTypeError,
                     ["exog", "transform=False"]),
    "half a point": (lambda m, f: f.profile_re(0, "re", 1.5), errors.OptionError, ["num_low=1.5"]),
    "distance back": (lambda m, f: f.profile_re(0, "re", 1, -0.1), errors.OptionError, ["dist_low=-0.1"]),
    "distance NaN": (lambda m, f: f.profile_re(0, "re", 1, np.nan), errors.OptionError, ["dist_low=nan"]),
    "endless distance": (lambda m, f: f.profile_re(0, "re", 1, 1e-3, 1, np.inf), errors.OptionError,
                         ["dist_high=inf"]),
    "option of a profile": (lambda m, f: f.profile_re(0, "re", 1, 1e-3, maxit=1), errors.OptionError,
                            ["'maxit'", "did you mean 'maxiter'"]),
    "alpha of text": (lambda m, f: f.conf_int("a"), errors.DataTypeError, ["alpha", "between 0 and 1"]),
    "names in one": (lambda m, f: f.summary(xname_fe="ab"), errors.OptionError, ["xname_fe='ab'", "list"]),
    "hypothesis of text": (lambda m, f: f.t_test(np.array(["a", "b"])), errors.DataTypeError,
                           ["r_matrix", "text"]),
    "hypothesis of NaN": (lambda m, f: f.t_test([np.nan, 1]), errors.DataValueError, ["r_matrix", "nan"]),
    "empty hypothesis": (lambda m, f: f.t_test([[0, 1], [0, 0]]), errors.DataValueError, ["row 1", "zero"]),
    "no hypothesis": (lambda m, f: f.wald_test(np.ones((0, 2))), errors.DataValueError, ["one row"]),
    "too many values": (lambda m, f: f.t_test((np.eye(2), np.ones(3))), errors.DataValueError,
                        ["2 rows and 3 values"]),
    "vector as cov_p": (lambda m, f: f.wald_test(np.eye(2), np.ones(2)), errors.DataValueError,
                        ["cov_p has shape (2,)", "(2, 2)"]),
    "singular cov_p": (lambda m, f: f.wald_test(np.eye(2), np.ones((2, 2))), errors.DataValueError,
                       ["singular", "cov_p"]),
    "NaN in cov_p": (lambda m, f: f.wald_test(np.eye(2), np.full((2, 2), np.nan)), errors.DataValueError,
                     ["not finite"]),
    "no degrees of freedom": (lambda m, f: f.wald_test(np.eye(2), df_constraints=0), errors.OptionError,
                              ["df_constraints=0"]),
    "column by name": (lambda m, f: f.cov_params(column="x"), errors.OptionError, ["column='x'", "0 to 4"]),
    "column beyond": (lambda m, f: f.cov_params(column=9), errors.OptionError, ["column=9"]),
    "scale of text": (lambda m, f: f.cov_params(scale="a"), errors.DataTypeError, ["scale"]),
    "function of text": (lambda m, f: f.get_nlfun(lambda p: "a"), errors.DataTypeError, ["fun returns"]),
    "parameters of text": (lambda m, f: MixedLMParams.from_packed("ab", 2, 2, True, True),
                           errors.DataTypeError, ["params is the text"]),
    "packed matrix": (lambda m, f: MixedLMParams.from_packed(np.eye(3), 0, 2, True, False),
                      errors.DataValueError, ["(3, 3)", "vector"]),
    "root that is not square": (lambda m, f: MixedLMParams.from_components(cov_re_sqrt=np.ones((2, 3))),
                                errors.DataValueError, ["cov_re_sqrt has shape (2, 3)"]),
    "number as vcomp": (lambda m, f: MixedLMParams.from_components(vcomp=3.0), errors.DataValueError,
                        ["vcomp has shape ()"]),
    "negative size": (lambda m, f: MixedLMParams(-1, 2, 0), errors.OptionError, ["k_fe=-1"]),
    "root of what has none": (lambda m, f: BAD.get_packed(True), errors.DataValueError, ["cov_re"]),
    "root of a negative": (lambda m, f: MixedLMParams.from_components(vcomp=[-1.0]).get_packed(True),
                           errors.DataValueError, ["vcomp [-1.0]"]),
    "tolerance of text": (lambda m, f: m.fit_regularized(alpha=1, ptol="a"), errors.DataTypeError,
                          ["ptol"]),
    "no pickle": (lambda m, f: lmmcore.MixedLMResults.load(__file__), errors.DataTypeError,
                  ["test_errors.py", "save()"]),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", BY_CALL, ids=str)
def test_calls(case):
    call, own, words = BY_CALL[case]
    model = lmmcore.mixedlm(FORMULA, table())
    fit = model.fit()
    with pytest.raises(own) as caught:
        call(model, fit)
    check(caught.value, (ValueError, TypeError), words)


def test_rank_deficient_columns_are_named_and_dropped():
    data = table().assign(twice=lambda d: 2 * d.x, off=lambda d: d.x + 3, z=lambda d: d.w)
    with pytest.warns(errors.RankDeficientWarning, match="'twice', 'off'"):
        model = lmmcore.mixedlm("y ~ x + twice + off + z + (1 | g)", data)
    assert model.exog_names == ["Intercept", "x", "z"]
    assert model.dropped == ("twice", "off")
    assert model.exog.shape == (24, 3)
    fit = model.fit()
    plain = lmmcore.mixedlm("y ~ x + z + (1 | g)", data).fit()
    assert fit.criterion == pytest.approx(plain.criterion, rel=1e-12)
    np.testing.assert_allclose(fit.fe_params, plain.fe_params, rtol=1e-10)
    np.testing.assert_allclose(fit.bse_fe, plain.bse_fe, rtol=1e-9)
    assert "twice, off" in fit.summary().as_text()


def test_earlier_columns_are_kept_as_in_lm():
    """An intercept after a full set of indicators is the one to go."""
    data = table()
    dummies = pd.get_dummies(data["g"] % 2, prefix="d", dtype=float)
    exog = pd.concat([dummies, pd.Series(1.0, data.index, name="one")], axis=1)
    with pytest.warns(errors.RankDeficientWarning, match="'one'"):
        model = lmmcore.MixedLM(data["y"], exog, data["g"])
    assert model.exog_names == ["d_0", "d_1"]


def test_results_are_frozen():
    fit = lmmcore.mixedlm(FORMULA, table()).fit()
    with pytest.raises(AttributeError, match="frozen"):
        fit.scale = 1.0


@pytest.mark.parametrize(
    "formula", ["y ~ x + (1 | g)", "y ~ f + (x | g)", "y ~ np.exp(x) + (1 | g)"]
)
def test_no_rows(formula):
    data = table(f=["u", "v"] * 12)
    with pytest.raises(errors.DataValueError, match="data has no rows"):
        lmmcore.mixedlm(formula, data.iloc[:0])
    with pytest.raises(errors.DataValueError, match="the subset of data has no rows"):
        lmmcore.mixedlm(formula, data, subset=data["x"] > 99)


@pytest.mark.parametrize("weight", [1e-60, 1e-30, 1e30, 1e60])
def test_common_weights_change_the_scale_alone(weight):
    """Columns are compared with their shift in the units of the weights."""
    data = table().assign(w=weight)
    plain = lmmcore.mixedlm("y ~ x + (1 | g)", data).fit()
    fit = lmmcore.mixedlm("y ~ x + (1 | g)", data, weights="w").fit()
    assert fit.model.dropped == ()
    np.testing.assert_allclose(fit.fe_params, plain.fe_params, rtol=1e-7)
    assert fit.scale == pytest.approx(plain.scale * weight, rel=1e-7)


def test_one_of_many():
    data = table()
    fit = lmmcore.mixedlm("y ~ x + (1 | g)", data).fit()
    with pytest.raises(errors.DataValueError, match=r"^1 group of 'g' is not in the model"):
        fit.predict(data.assign(g=data.g.replace({data.g[0]: 99})), random_effects=True)


def test_all_public_classes_are_listed():
    kinds = (errors.LmmcoreError, errors.LmmcoreWarning)
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, kinds)
    }
    assert set(errors.__all__) == defined
    assert errors.__all__ == sorted(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_also_a_built_in_one(name):
    """So that `except ValueError` and filters of `UserWarning` go on working."""
    kind = getattr(errors, name)
    if issubclass(kind, Warning):
        assert issubclass(kind, UserWarning)
    elif kind is not errors.LmmcoreError:
        assert issubclass(kind, (ValueError, TypeError, KeyError, RuntimeError))
    assert kind.__doc__
