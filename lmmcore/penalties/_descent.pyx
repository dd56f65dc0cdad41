"""Coordinate descent on a penalised quadratic; the twin is `lmmcore.testing.twins.descend`."""

from libc.math cimport fabs


def descend(
    const double[:, ::1] h, const double[::1] l1, const double[::1] l2,
    double[::1] beta, double[::1] rest, int max_sweeps, double tolerance,
):
    """Minimise ½β'Hβ − c'β + Σ l1_j|β_j| + ½Σ l2_j β_j², in place.

    Parameters
    ----------
    h : array (p, p), symmetric
    l1, l2 : arrays (p,)
    beta : array (p,)
        Start and result.
    rest : array (p,)
        c − Hβ at the start and at the result.
    tolerance : float
        A sweep over the active coordinates ends when no step moves the quadratic by more than this.

    Returns
    -------
    int
        Sweeps over all coordinates.
    """
    cdef Py_ssize_t p = h.shape[0], j, k
    cdef double slope, new, step, moved
    cdef bint whole = True
    cdef int sweeps = 0, inner = 0
    with nogil:
        while sweeps < max_sweeps and inner < 100 * max_sweeps:
            moved = 0.0
            for j in range(p):
                if not whole and beta[j] == 0.0:
                    continue
                if h[j, j] + l2[j] <= 0.0:
                    continue
                slope = rest[j] + h[j, j] * beta[j]
                if slope > l1[j]:
                    new = (slope - l1[j]) / (h[j, j] + l2[j])
                elif slope < -l1[j]:
                    new = (slope + l1[j]) / (h[j, j] + l2[j])
                else:
                    new = 0.0
                step = new - beta[j]
                if step != 0.0:
                    beta[j] = new
                    for k in range(p):
                        rest[k] -= h[j, k] * step
                    step = step * step * (h[j, j] + l2[j])
                    if step > moved:
                        moved = step
            if whole:
                sweeps += 1
                if moved <= tolerance:
                    break
                whole = False
            else:
                inner += 1
                if moved <= tolerance:
                    whole = True
    return sweeps
