"""Build of the Cython routines; everything else is declared in pyproject.toml."""

import sys

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

FLAGS = (
    ["/O2"]
    if sys.platform == "win32"
    else ["-O3", "-fno-math-errno", "-Wno-attributes", "-Wno-unused-function"]
)


def extension(name: str) -> Extension:
    return Extension(
        name,
        [name.replace(".", "/") + ".pyx"],
        include_dirs=["lmmcore", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=FLAGS,
        depends=["lmmcore/simd.h"],
    )


setup(
    ext_modules=cythonize(
        [
            extension("lmmcore.linalg._dense"),
            extension("lmmcore.crossproducts._rows"),
            extension("lmmcore.likelihood.crossed._elimination"),
            extension("lmmcore.likelihood.independent._groups"),
            extension("lmmcore.penalties._descent"),
            extension("lmmcore.penalties._prox"),
        ],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "freethreading_compatible": True,
        },
    )
)
