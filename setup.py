"""Build of the Cython routines; everything else is declared in pyproject.toml.

``LMMCORE_SANITIZE=address,undefined`` builds them with GCC's or Clang's sanitizers (see CONTRIBUTING.md).
"""

import os
import sys

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

# Without debug symbols, which would be most of a wheel. Python's own flags ask for them, ours come later.
if sys.platform == "win32":
    FLAGS, LINK_FLAGS = ["/O2"], []
else:
    FLAGS = ["-O3", "-g0", "-fno-math-errno", "-Wno-attributes", "-Wno-unused-function"]
    LINK_FLAGS = ["-Wl,-s"] if sys.platform.startswith("linux") else []

SANITIZERS = os.environ.get("LMMCORE_SANITIZE")
if SANITIZERS:
    FLAGS += [
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        f"-fsanitize={SANITIZERS}",
        "-DLMMCORE_SANITIZE",
    ]
    LINK_FLAGS = [f"-fsanitize={SANITIZERS}"]


def extension(name: str) -> Extension:
    return Extension(
        name,
        [name.replace(".", "/") + ".pyx"],
        include_dirs=["lmmcore", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=FLAGS,
        extra_link_args=LINK_FLAGS,
        depends=["lmmcore/simd.h"],
    )


setup(
    ext_modules=cythonize(
        [
            extension("lmmcore.linalg._dense"),
            extension("lmmcore.crossproducts._rows"),
            extension("lmmcore.likelihood.crossed._elimination"),
            extension("lmmcore.likelihood.independent._groups"),
            extension("lmmcore.likelihood.independent._products"),
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
