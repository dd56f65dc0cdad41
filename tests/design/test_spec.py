"""A spec without rows makes the columns of the model from new data, in another process too."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.design.new_rows import fixed_columns, labels_of_rows, offset_of, random_columns


def table():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.uniform(1.0, 4.0, 60), "z": rng.standard_normal(60)})
    data["f"] = pd.Categorical(rng.choice(["u", "v", "w"], 60))
    data["g"], data["h"] = np.repeat(np.arange(12), 5), np.tile([f"h{i}" for i in range(5)], 12)
    return data.assign(y=rng.standard_normal(60) + 0.1 * data.g)


FORMULAS = {
    "numbers": "y ~ x + z + (1 + x | g)",
    "encodings": "y ~ bs(x, df=4) + f * center(z) + offset(z) + (f | g) + (1 | h)",
    "a dropped column": "y ~ x + z + I(x + z) + f + (x || g)",
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.filterwarnings("ignore:dropped")
def test_the_columns_of_the_model(name):
    data = table()
    model = lmmcore.mixedlm(FORMULAS[name], data)
    spec = pickle.loads(pickle.dumps(model.spec))
    np.testing.assert_array_equal(fixed_columns(spec, data), model.exog)
    chosen = frozenset(range(len(spec.terms)))
    z = random_columns(spec, data, None, len(data), chosen)
    np.testing.assert_array_equal(np.column_stack([z[t] for t in sorted(z)]), model.exog_re)
    assert offset_of(spec, data) is not None
    np.testing.assert_array_equal(
        offset_of(spec, data) * np.ones(60), data.z if "offset" in FORMULAS[name] else 0.0
    )
    for f, factor in enumerate(spec.factors):
        ((given, labels),) = labels_of_rows(spec, f, data, None, len(data))
        assert given == factor.name
        np.testing.assert_array_equal(labels, data[factor.name])
    some = data.iloc[[7, 3]]  # one row at a time: levels and knots are those of the model
    np.testing.assert_array_equal(fixed_columns(spec, some), model.exog[[7, 3]])


def test_a_spec_is_small_and_free_of_rows(tmp_path):
    data = pd.concat([table()] * 300, ignore_index=True)
    data["y"] += np.random.default_rng(0).standard_normal(len(data))
    model = lmmcore.mixedlm("y ~ center(x) + f + (1 | g)", data)
    saved = pickle.dumps(model.spec)
    assert len(saved) < 10_000
    (tmp_path / "spec.pickle").write_bytes(saved)
    data.iloc[:3].to_csv(tmp_path / "rows.csv", index=False)
    code = (
        "import pickle, sys, pandas as pd; from lmmcore.design.new_rows import fixed_columns; "
        f"spec = pickle.load(open({str(tmp_path / 'spec.pickle')!r}, 'rb')); "
        f"rows = pd.read_csv({str(tmp_path / 'rows.csv')!r}); "
        "print(fixed_columns(spec, rows).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(eval(done.stdout), model.exog[:3], rtol=1e-14)
