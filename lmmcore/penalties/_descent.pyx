"""Block coordinate descent on a penalized quadratic; the twin is `lmmcore.testing.twins.descend`."""

from libc.math cimport INFINITY, fabs, sqrt


cdef double length(
    double size, double h, double norm, double fall_from, double fall_to
) noexcept nogil:
    """Return the r ≥ 0 that minimizes ½ h r² − size r + ρ(r); ρ' is norm, falling to zero."""
    cdef double straight, fall, low, high, at_low, at_high, into
    if size <= 0.0:
        return 0.0
    if fall_to == INFINITY:
        return (size - norm) / h if size > norm else 0.0
    if norm <= 0.0:
        return size / h
    fall = norm / (fall_to - fall_from)
    if h > fall:
        if size >= h * fall_to:
            return size / h
        straight = (size - norm) / h if size > norm else 0.0
        if straight <= fall_from:
            return straight
        return (size - fall * fall_to) / (h - fall)
    # Concave between: the better of the two ends.
    low = (size - norm) / h if size > norm else 0.0
    if low > fall_from:
        low = fall_from
    high = size / h
    if high < fall_to:
        return low
    at_low = 0.5 * h * low * low - size * low + norm * low
    into = fall_to - fall_from
    at_high = 0.5 * h * high * high - size * high + norm * fall_from + 0.5 * norm * into
    return high if at_high < at_low else low


def descend(
    const double[:, ::1] h, const Py_ssize_t[::1] starts, const double[::1] bound,
    const double[::1] l1, const double[::1] l2, const double[::1] norm,
    const double[::1] fall_from, const double[::1] fall_to,
    double[::1] beta, double[::1] rest, double[::1] step, int max_sweeps, double tolerance,
):
    """Minimize ½β'Hβ − c'β + penalty, in place; the penalty is a `lmmcore.extension.Blockwise`.

    Parameters
    ----------
    h : array (p, p), symmetric
    starts : int array (n_groups + 1,)
        First coefficient of each group, and p.
    bound : array (n_groups,)
        Largest eigenvalue of each group's block of H; a group with 0 is left as it is.
    l1, l2 : arrays (p,)
        l2 equal within a group of several coefficients.
    norm, fall_from, fall_to : arrays (n_groups,)
    beta : array (p,)
        Start and result.
    rest : array (p,)
        c − Hβ at the start and at the result.
    step : array (p,)
        Room for the step of a group.
    max_sweeps : int
        Largest number of sweeps over all groups; ten times that over the groups that are not zero.
    tolerance : float
        A sweep over the groups that are not zero ends when no step moves the quadratic by more.

    Returns
    -------
    int
        Sweeps over all groups.
    """
    cdef Py_ssize_t p = h.shape[0], n_groups = bound.shape[0], g, j, k, a, b
    cdef double top, u, size, factor, moved, change
    cdef bint whole = True, on
    cdef int sweeps = 0, inner = 0
    with nogil:
        while sweeps < max_sweeps and inner < 10 * max_sweeps:
            moved = 0.0
            for g in range(n_groups):
                a, b = starts[g], starts[g + 1]
                if bound[g] <= 0.0:
                    continue
                if not whole:
                    on = False
                    for j in range(a, b):
                        if beta[j] != 0.0:
                            on = True
                    if not on:
                        continue
                size = 0.0
                for j in range(a, b):
                    u = rest[j] + bound[g] * beta[j]
                    if u > l1[j]:
                        u -= l1[j]
                    elif u < -l1[j]:
                        u += l1[j]
                    else:
                        u = 0.0
                    step[j] = u
                    size += u * u
                size = sqrt(size) if b > a + 1 else fabs(step[a])
                top = bound[g] + l2[a]
                factor = length(size, top, norm[g], fall_from[g], fall_to[g])
                factor = factor / size if size > 0.0 else 0.0
                change = 0.0
                for j in range(a, b):
                    step[j] = step[j] * factor - beta[j]
                    change += step[j] * step[j]
                change *= top
                if change > moved:
                    moved = change
                for j in range(a, b):
                    if step[j] != 0.0:
                        beta[j] += step[j]
                        for k in range(p):
                            rest[k] -= h[j, k] * step[j]
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
