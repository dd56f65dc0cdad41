"""Proximal steps that need a loop; the twins are in `lmmcore.testing.twins`."""

from libc.stdlib cimport free, malloc


def isotonic_decreasing(const double[::1] y, double[::1] out):
    """Write to `out` the x₁ ≥ x₂ ≥ … ≥ 0 that minimizes Σ (x_i − y_i)², by pooling neighbors."""
    cdef Py_ssize_t n = y.shape[0], i, j, top = 0
    cdef double *sums = <double *> malloc((n + 1) * sizeof(double))
    cdef Py_ssize_t *first = <Py_ssize_t *> malloc((n + 1) * sizeof(Py_ssize_t))
    cdef double mean
    if sums == NULL or first == NULL:
        free(sums)
        free(first)
        raise MemoryError
    with nogil:
        for i in range(n):
            sums[top], first[top] = y[i], i
            first[top + 1] = i + 1
            while top > 0 and (
                sums[top - 1] * (first[top + 1] - first[top])
                <= sums[top] * (first[top] - first[top - 1])
            ):
                sums[top - 1] += sums[top]
                first[top] = first[top + 1]
                top -= 1
            top += 1
        for i in range(top):
            mean = sums[i] / (first[i + 1] - first[i])
            if mean < 0.0:
                mean = 0.0
            for j in range(first[i], first[i + 1]):
                out[j] = mean
    free(sums)
    free(first)


cdef struct Knot:
    double at
    double slope  # what is added to the slope to its right
    double level  # and to the level: the function is slope · x + level


def fused(
    const double[::1] y, double step, const double[::1] l1, const double[::1] tv, double[::1] out
):
    """Write to `out` the x that minimizes ½‖x − y‖²/step + Σ l1_i|x_i| + Σ tv_i|x_{i+1} − x_i|.

    Dynamic programming along the chain: the derivative of the best value of x₁ … x_i as a function of
    x_i is piecewise linear and is clipped to ±tv_i on the way to the next (Johnson 2013, *Journal of
    Computational and Graphical Statistics* 22). A jump, of |x| at zero, is a knot without a slope.
    """
    cdef Py_ssize_t n = y.shape[0], i, j, left, right
    # A step of the chain adds one knot to the left and two to the right, at most.
    cdef Knot *knots = <Knot *> malloc((3 * n + 4) * sizeof(Knot))
    cdef double *low = <double *> malloc(2 * (n + 1) * sizeof(double))
    cdef double *high = low + n + 1
    cdef double slope, level, right_slope, right_level, x, here, here_at
    cdef double a = 1.0 / step
    if knots == NULL or low == NULL:
        free(knots)
        free(low)
        raise MemoryError
    with nogil:
        left = right = n + 1  # knots[left:right], sorted
        slope = level = right_slope = right_level = 0.0
        for i in range(n):
            # Add the derivative of ½a(x − y)² + l1|x|.
            slope += a
            right_slope += a
            level += -a * y[i] - l1[i]
            right_level += -a * y[i] + l1[i]
            if l1[i] > 0.0:
                j = right
                while j > left and knots[j - 1].at > 0.0:
                    knots[j] = knots[j - 1]
                    j -= 1
                knots[j].at, knots[j].slope, knots[j].level = 0.0, 0.0, 2.0 * l1[i]
                right += 1
            here = tv[i] if i < n - 1 else 0.0
            # Where the derivative first reaches −here, coming from the left.
            x = (-here - level) / slope
            while left < right and x > knots[left].at:
                here_at = knots[left].at
                while left < right and knots[left].at == here_at:  # knots at one place are one knot
                    slope += knots[left].slope
                    level += knots[left].level
                    left += 1
                x = (-here - level) / slope
                if x <= here_at:  # in the jump
                    x = here_at
                    break
            low[i] = x
            if i == n - 1:
                break
            # Where it last is at here, coming from the right.
            x = (here - right_level) / right_slope
            while left < right and x < knots[right - 1].at:
                here_at = knots[right - 1].at
                while left < right and knots[right - 1].at == here_at:
                    right -= 1
                    right_slope -= knots[right].slope
                    right_level -= knots[right].level
                x = (here - right_level) / right_slope
                if x >= here_at:
                    x = here_at
                    break
            high[i] = x if x > low[i] else low[i]
            # Clipped: −here to the left of low, here to the right of high.
            left -= 1
            knots[left].at, knots[left].slope, knots[left].level = low[i], slope, level + here
            knots[right].at = high[i]
            knots[right].slope, knots[right].level = -right_slope, here - right_level
            right += 1
            slope, level, right_slope, right_level = 0.0, -here, 0.0, here
        out[n - 1] = low[n - 1]
        for i in range(n - 2, -1, -1):
            x = out[i + 1]
            out[i] = low[i] if x < low[i] else (high[i] if x > high[i] else x)
    free(knots)
    free(low)
