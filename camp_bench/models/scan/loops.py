"""SCAN's attention, cosines and pooling of float32 affinities, and their gradient, while each number is in cache.

A table holds the affinities of G images' R regions with the words of C captions. The captions are sorted, the longest
first, and their words lie by position: all first words, then all second words, of those captions that have one. So the
innermost loops run over captions, which a processor takes 16 at a time, whichever side is summed over. Rows that they
run over are slices of one step: any other array costs ten times the time.

Both directions are one program: Q queries attend to K context vectors. For `t2i` these are words and regions, so
queries differ in how many captions have them; for `i2t` context vectors do.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from camp_bench.machine.jit import compiled
from camp_bench.models.norms import EPSILON

__all__ = ["CANCELLATION", "NORMS", "POOLINGS", "STEP", "Codes", "Layout", "attend", "differentiate", "exp2"]

CANCELLATION = 1e-3
"""Below this share of (sum of |a_k v_k|)^2, A G A^T has lost its digits and is computed from the context itself."""
NORMS = ("none", "softmax", "l2norm", "l1norm")
POOLINGS = ("lse", "avg", "max", "sum")
STEP = 4
"""Gram tables have a multiple of this many rows and columns, zero beyond the context's vectors."""

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


class Layout(NamedTuple):
    """Of a table's last dimension: words at position l have `counts[l]` places from `starts[l]` on, a caption each."""

    starts: Counts
    counts: Counts


class Codes(NamedTuple):
    """A ScanForm in numbers. shifted: whether exponentials need the greatest logit subtracted to stay finite."""

    words_ask: bool
    clipped: bool
    norm: int  # its place in NORMS, after clipping
    pooling: int  # its place in POOLINGS
    sharpness: float
    pooling_sharpness: float
    shifted: bool


_NONE, _SOFTMAX, _L2, _L1 = range(4)
_LSE, _AVG, _MAX, _SUM = range(4)

# in float32 throughout: one number of Python's own would make a whole expression float64
_ZERO, _ONE, _TWO, _TENTH, _LEAST, _SHARE = map(np.float32, (0, 1, 2, 0.1, EPSILON, CANCELLATION))
_LOG2_E, _LN_2 = np.float32(math.log2(math.e)), np.float32(math.log(2))
_LOWEST, _HIGHEST = np.float32(-126), np.float32(127)
_ROUND = np.float32(1.5 * 2**23)
"""Added to a number below 2^22, it leaves the nearest integer in the lowest bits."""
_POWER = (1.0, 0.6931471829, 0.2402264923, 0.05550357327, 0.009618237615, 0.001339528477, 0.000154036065)
"""Coefficients of a polynomial that is 2^f for |f| <= 1/2."""
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = map(np.float32, _POWER)

_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered, as they must to be taken 16 at a time; NaN and infinity stay what they are."""


@partial(compiled, fastmath={"contract"})
def exp2(x: np.float32) -> np.float32:
    """Return 2^x within 1e-7 of it; x is cut to [-126, 127], where the result is a normal number."""
    x = _LOWEST if x < _LOWEST else x  # in this order, NaN stays NaN
    x = _HIGHEST if x > _HIGHEST else x
    shifted = np.float32(x + _ROUND)
    f = x - (shifted - _ROUND)
    power = _C0 + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    return np.float32(power * np.int32((shifted.view(np.int32) + np.int32(127)) << np.int32(23)).view(np.float32))


@partial(compiled, fastmath=_FAST)
def _weigh(
    table: Floats, image: int, layout: Layout, codes: Codes, x: Floats, scale: Floats, norms: Floats, shift: Floats
) -> None:
    """Find the logits of an image: x[k, q] * scale[k] - shift[q], to base 2.

    x: (K, Q, C), what is normalised; norms: (K, C), by what, where that is a length; shift: (Q, C).
    """
    starts, counts = layout
    of_context, of_queries, captions = x.shape
    slope = _TENTH if codes.clipped else _ONE
    sharpness = np.float32(codes.sharpness) * _LOG2_E
    for k in range(of_context):
        total = norms[k]
        total[:] = _ZERO
        for q in range(of_queries):
            word, region = (q, k) if codes.words_ask else (k, q)
            count = counts[word]
            given = table[image, region, starts[word] : starts[word] + count]
            own = x[k, q]
            for c in range(count):
                own[c] = given[c] if given[c] > _ZERO else slope * given[c]
            if codes.norm == _L2:
                for c in range(count):
                    total[c] += own[c] * own[c]
            elif codes.norm == _L1:
                for c in range(count):
                    total[c] += abs(own[c])
        own_scale = scale[k]
        if codes.norm == _L2 or codes.norm == _L1:
            for c in range(captions):
                length = np.float32(math.sqrt(total[c])) if codes.norm == _L2 else total[c]
                total[c] = length
                own_scale[c] = _ZERO if length == _ZERO else sharpness / (length + _LEAST)
        else:
            own_scale[:] = sharpness
        if codes.norm == _SOFTMAX:
            _soften(x[k], counts, codes.words_ask, counts[k if not codes.words_ask else 0], own_scale, total)
            own_scale[:] = sharpness
    shift[:] = _ZERO
    if codes.shifted:
        shift[:] = -np.inf
        for q in range(of_queries):
            top = shift[q]
            for k in range(of_context):
                own, own_scale = x[k, q], scale[k]
                for c in range(counts[q if codes.words_ask else k]):
                    logit = own[c] * own_scale[c]
                    top[c] = logit if logit > top[c] else top[c]


@partial(compiled, fastmath=_FAST)
def _soften(x: Floats, counts: Counts, words_ask: bool, width: int, top: Floats, total: Floats) -> None:
    """Replace x, (Q, C), by its softmax over the queries. top, total: room for (C,)."""
    top[:] = -np.inf
    total[:] = _ZERO
    for q in range(len(x)):
        own = x[q]
        for c in range(counts[q] if words_ask else width):
            top[c] = own[c] if own[c] > top[c] else top[c]
    for q in range(len(x)):
        own = x[q]
        for c in range(counts[q] if words_ask else width):
            own[c] = exp2((own[c] - top[c]) * _LOG2_E)
            total[c] += own[c]
    for q in range(len(x)):
        own = x[q]
        for c in range(counts[q] if words_ask else width):
            own[c] /= total[c]


@partial(compiled, fastmath=_FAST)
def _ask(
    table: Floats,
    image: int,
    layout: Layout,
    codes: Codes,
    x: Floats,
    scale: Floats,
    shift: Floats,
    q: int,
    weights: Floats,
    first: int,
    total: Floats,
    relevance: Floats,
) -> None:
    """Write a query's weights, (K, C) from column `first` on, their sums, (C,), and those of affinities so weighted."""
    starts, counts = layout
    total[:] = _ZERO
    relevance[:] = _ZERO
    for k in range(len(x)):
        word, region = (q, k) if codes.words_ask else (k, q)
        count = counts[word]
        given = table[image, region, starts[word] : starts[word] + count]
        own, own_scale, weight = x[k, q], scale[k], weights[k, first : first + count]
        for c in range(count):
            weight[c] = exp2(own[c] * own_scale[c] - shift[c])
            total[c] += weight[c]
            relevance[c] += weight[c] * given[c]


@partial(compiled, fastmath=_FAST)
def _square(weights: Floats, gram: Floats, width: int, square: Floats) -> None:
    """Add A G A^T to `square`, (C,), from weights (K, C) and one Gram table, (K, K), which is symmetric."""
    for k in range(0, len(weights), STEP):
        a0, a1, a2, a3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for j in range(0, k + 1, STEP):
            b0, b1, b2, b3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
            g00, g01, g02, g03 = gram[k, j], gram[k, j + 1], gram[k, j + 2], gram[k, j + 3]
            g10, g11, g12, g13 = gram[k + 1, j], gram[k + 1, j + 1], gram[k + 1, j + 2], gram[k + 1, j + 3]
            g20, g21, g22, g23 = gram[k + 2, j], gram[k + 2, j + 1], gram[k + 2, j + 2], gram[k + 2, j + 3]
            g30, g31, g32, g33 = gram[k + 3, j], gram[k + 3, j + 1], gram[k + 3, j + 2], gram[k + 3, j + 3]
            times = _ONE if j == k else _TWO
            for c in range(width):
                square[c] += times * (
                    a0[c] * (g00 * b0[c] + g01 * b1[c] + g02 * b2[c] + g03 * b3[c])
                    + a1[c] * (g10 * b0[c] + g11 * b1[c] + g12 * b2[c] + g13 * b3[c])
                    + a2[c] * (g20 * b0[c] + g21 * b1[c] + g22 * b2[c] + g23 * b3[c])
                    + a3[c] * (g30 * b0[c] + g31 * b1[c] + g32 * b2[c] + g33 * b3[c])
                )


@partial(compiled, fastmath=_FAST)
def _squares(weights: Floats, gram: Floats, counts: Counts, square: Floats) -> None:
    """Add A G A^T to `square`, (C,), from weights (K, C) and each caption's own table, (K, K, C)."""
    for k in range(len(counts)):
        a = weights[k]
        for j in range(0, k + 1, STEP):
            b0, b1, b2, b3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
            g0, g1, g2, g3 = gram[k, j], gram[k, j + 1], gram[k, j + 2], gram[k, j + 3]
            times = _ONE if j == k // STEP * STEP else _TWO
            for c in range(counts[k]):
                square[c] += times * a[c] * (g0[c] * b0[c] + g1[c] * b1[c] + g2[c] * b2[c] + g3[c] * b3[c])


@partial(compiled, fastmath=_FAST)
def _pool(cosines: Floats, layout: Layout, codes: Codes, pooled: Floats, top: Floats) -> None:
    """Pool cosines (Q, C) over the queries into `pooled`, (C,). top: room for (C,), the greatest of each afterwards."""
    counts = layout.counts
    captions = len(pooled)
    factor = np.float32(codes.pooling_sharpness)
    pooled[:] = _ZERO
    top[:] = -np.inf
    for q in range(len(cosines)):
        own = cosines[q]
        for c in range(counts[q] if codes.words_ask else captions):
            top[c] = own[c] if own[c] > top[c] or own[c] != own[c] else top[c]
    for q in range(len(cosines)):
        own = cosines[q]
        width = counts[q] if codes.words_ask else captions
        if codes.pooling == _LSE:
            for c in range(width):
                pooled[c] += exp2((own[c] - top[c]) * (factor * _LOG2_E))
        else:
            for c in range(width):
                pooled[c] += own[c]
    for c in range(captions):
        if codes.pooling == _LSE:
            pooled[c] = np.float32(math.log(pooled[c])) / factor + top[c]
        elif codes.pooling == _MAX:
            pooled[c] = top[c]
    if codes.pooling == _AVG:
        _average(pooled, layout, codes.words_ask, len(cosines))


@partial(compiled, fastmath=_FAST)
def _average(sums: Floats, layout: Layout, words_ask: bool, queries: int) -> None:
    """Divide sums, (C,), by how many queries each caption has."""
    done = 0
    for words in range(len(layout.counts), 0, -1):  # counts[words - 1] captions have so many words or more
        for c in range(done, layout.counts[words - 1]):
            sums[c] /= np.float32(words if words_ask else queries)
        done = layout.counts[words - 1]


@partial(compiled, fastmath=_FAST)
def attend(
    table: Floats,
    layout: Layout,
    codes: Codes,
    gram: Floats,
    query_norms: Floats,
    longest: Floats,
    scores: Floats,
    cancelled: Flags,
) -> None:
    """Write the similarity of every image with every caption, (G, C), and where a context vector cancels.

    table: (G, R, W). gram: the context's Gram tables, of images (G, K, K), or of captions (K, K, C), where K is
    rounded up to a multiple of STEP. query_norms: lengths of words (Q, C), or of regions (G, Q). longest: the
    greatest square length of a context's vectors, (G,) or (C,).
    """
    counts = layout.counts
    captions, words_ask = scores.shape[1], codes.words_ask
    of_queries, of_context = (len(counts), table.shape[1]) if words_ask else (table.shape[1], len(counts))
    x, scale = np.empty((of_context, of_queries, captions), np.float32), np.empty((of_context, captions), np.float32)
    norms, weights = np.empty_like(scale), np.zeros((len(gram[0]), captions), np.float32)
    shift, cosines = np.empty((of_queries, captions), np.float32), np.empty((of_queries, captions), np.float32)
    total, relevance = np.empty(captions, np.float32), np.empty(captions, np.float32)
    square, least = np.empty(captions, np.float32), np.empty(captions, np.float32)
    for image in range(len(table)):
        cancelled[image] = False
        _weigh(table, image, layout, codes, x, scale, norms, shift)
        for c in range(captions):
            least[c] = _SHARE * (longest[image] if words_ask else longest[c])
        for q in range(of_queries):
            width = counts[q] if words_ask else captions
            square[:] = _ZERO
            _ask(table, image, layout, codes, x, scale, shift[q], q, weights, 0, total, relevance)
            if words_ask:
                _square(weights, gram[image], width, square)
            else:
                _squares(weights, gram, counts, square)
            cosine, flags, length = cosines[q], cancelled[image], query_norms[q if words_ask else image]
            for c in range(width):
                flags[c] |= square[c] < least[c] * total[c] * total[c]
            for c in range(width):
                norm = (length[c] if words_ask else length[q]) * np.float32(math.sqrt(square[c]))
                norm = norm if square[c] > _ZERO else _ZERO
                floor = _LEAST * total[c]
                cosine[c] = relevance[c] / (floor if norm < floor else norm)
        _pool(cosines, layout, codes, scores[image], least)


@partial(compiled, fastmath=_FAST)
def _mix(weights: Floats, gram: Floats, mixed: Floats) -> None:
    """Write the product of one Gram table, (K, K), and weights, (K, N)."""
    for k in range(len(weights)):
        own = mixed[k]
        own[:] = _ZERO
        for j in range(0, len(weights), STEP):
            g0, g1, g2, g3 = gram[k, j], gram[k, j + 1], gram[k, j + 2], gram[k, j + 3]
            b0, b1, b2, b3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
            for n in range(len(own)):
                own[n] += g0 * b0[n] + g1 * b1[n] + g2 * b2[n] + g3 * b3[n]


@partial(compiled, fastmath=_FAST)
def _mix_each(weights: Floats, gram: Floats, mixed: Floats) -> None:
    """Write the products of each caption's Gram table, (K, K, C), and weights, (K, Q, C)."""
    for q in range(weights.shape[1]):
        for k in range(len(weights)):
            own = mixed[k, q]
            own[:] = _ZERO
            for j in range(0, len(weights), STEP):
                g0, g1, g2, g3 = gram[k, j], gram[k, j + 1], gram[k, j + 2], gram[k, j + 3]
                b0, b1, b2, b3 = weights[j, q], weights[j + 1, q], weights[j + 2, q], weights[j + 3, q]
                for c in range(len(own)):
                    own[c] += g0[c] * b0[c] + g1[c] * b1[c] + g2[c] * b2[c] + g3[c] * b3[c]


@partial(compiled, fastmath=_FAST)
def _multiply_out(weights: Floats, factor: Floats, gram: Floats) -> None:
    """Write A diag(factor) A^T into one Gram table, (K, K), from weights (K, N) and factors (N,)."""
    for k in range(len(weights)):
        own = weights[k]
        for j in range(0, k + 1, STEP):
            b0, b1, b2, b3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
            sum0, sum1, sum2, sum3 = _ZERO, _ZERO, _ZERO, _ZERO
            for n in range(len(own)):
                share = factor[n] * own[n]
                sum0 += share * b0[n]
                sum1 += share * b1[n]
                sum2 += share * b2[n]
                sum3 += share * b3[n]
            gram[k, j], gram[k, j + 1], gram[k, j + 2], gram[k, j + 3] = sum0, sum1, sum2, sum3
            gram[j, k], gram[j + 1, k], gram[j + 2, k], gram[j + 3, k] = sum0, sum1, sum2, sum3


@partial(compiled, fastmath=_FAST)
def _multiply_out_each(weights: Floats, factor: Floats, gram: Floats) -> None:
    """Add A diag(factor) A^T to each caption's Gram table, (K, K, C), from weights (K, Q, C) and factors (Q, C)."""
    for k in range(len(weights)):
        for j in range(len(weights)):
            own = gram[k, j]
            for q in range(len(factor)):
                a, b, share = weights[k, q], weights[j, q], factor[q]
                for c in range(len(own)):
                    own[c] += share[c] * a[c] * b[c]


@partial(compiled, fastmath=_FAST)
def _unpool(cosines: Floats, layout: Layout, codes: Codes, upstream: Floats, found: Floats, top: Floats) -> None:
    """Replace cosines, (Q, C), by the gradient of their pooling. upstream: of the pooled. found, top: room for (C,)."""
    counts, captions, queries = layout.counts, len(upstream), len(cosines)
    factor = np.float32(codes.pooling_sharpness) * _LOG2_E
    _pool(cosines, layout, codes, found, top)
    if codes.pooling == _MAX:
        found[:] = _ZERO
        for q in range(queries):
            for c in range(counts[q] if codes.words_ask else captions):
                found[c] += np.float32(cosines[q, c] == top[c])
        for c in range(captions):
            found[c] = upstream[c] / found[c]  # several that are the greatest share it
    elif codes.pooling != _LSE:
        found[:] = upstream
        if codes.pooling == _AVG:
            _average(found, layout, codes.words_ask, queries)
    for q in range(queries):
        own = cosines[q]
        for c in range(counts[q] if codes.words_ask else captions):
            if codes.pooling == _LSE:
                own[c] = upstream[c] * exp2((own[c] - found[c]) * factor)
            elif codes.pooling == _MAX:
                own[c] = found[c] if own[c] == top[c] else _ZERO
            else:
                own[c] = found[c]


@partial(compiled, fastmath=_FAST)
def _unweigh(
    image: int, layout: Layout, codes: Codes, x: Floats, scale: Floats, norms: Floats, slopes: Floats, table: Floats
) -> None:
    """Add to the gradient of an image's affinities what comes by way of the weights.

    slopes: of the weights' logits, (K, Q, C). Others: as `_weigh` left them.
    """
    starts, counts = layout
    of_context, of_queries, captions = x.shape
    gathered, back = np.empty(captions, np.float32), np.empty(captions, np.float32)
    slope = _TENTH if codes.clipped else _ONE
    for k in range(of_context):
        own_scale, length = scale[k], norms[k]
        gathered[:] = _ZERO
        for q in range(of_queries):
            own, given = x[k, q], slopes[k, q]
            for c in range(counts[q if codes.words_ask else k]):
                gathered[c] += given[c] * own[c]
        for c in range(captions):
            ratio = own_scale[c] / (length[c] + _LEAST)
            if codes.norm == _L2:
                ratio = ratio / length[c]
            back[c] = -gathered[c] * ratio if length[c] > _ZERO else _ZERO
        for q in range(of_queries):
            word, region = (q, k) if codes.words_ask else (k, q)
            count = counts[word]
            own, given, found = x[k, q], slopes[k, q], table[image, region, starts[word] : starts[word] + count]
            for c in range(count):
                value = given[c] * own_scale[c]
                if codes.norm == _SOFTMAX:
                    value = own_scale[c] * own[c] * (given[c] - gathered[c])
                elif codes.norm == _L2:
                    value += back[c] * own[c]
                elif codes.norm == _L1:
                    value += back[c] * (_ONE if own[c] > _ZERO else -_ONE if own[c] < _ZERO else _ZERO)
                found[c] += _LN_2 * value * (_ONE if own[c] > _ZERO else slope)


@partial(compiled, fastmath=_FAST)
def differentiate(
    table: Floats,
    layout: Layout,
    codes: Codes,
    gram: Floats,
    query_norms: Floats,
    upstream: Floats,
    to_table: Floats,
    to_gram: Floats,
    to_norms: Floats,
) -> None:
    """Write the gradient with respect to table, Gram tables and lengths of queries; arguments as in `attend`.

    A cosine is A S / max(|q| sqrt(A G A^T), 1e-8 sum A). By the weights, its gradient times `upstream` is slope S -
    along G A - level, where along is 0 if the second of the two is greater, and level if the first is.

    upstream: with respect to the scores, (G, C), zero where a context cancels. to_gram, to_norms: zeros before.
    """
    starts, counts = layout
    captions, words_ask = upstream.shape[1], codes.words_ask
    of_queries, of_context = (len(counts), table.shape[1]) if words_ask else (table.shape[1], len(counts))
    rows = len(gram[0])
    x, scale = np.empty((of_context, of_queries, captions), np.float32), np.empty((of_context, captions), np.float32)
    norms, shift = np.empty_like(scale), np.empty((of_queries, captions), np.float32)
    weights = np.zeros((rows, of_queries * captions), np.float32)
    mixed = np.empty_like(weights)
    weights_each, mixed_each = weights.reshape(rows, of_queries, captions), mixed.reshape(rows, of_queries, captions)
    cosines, slopes = np.empty_like(shift), np.empty_like(shift)
    totals, squares, scales = np.empty_like(shift), np.empty_like(shift), np.empty_like(shift)
    halves = np.zeros_like(shift)
    along, level = np.empty(captions, np.float32), np.empty(captions, np.float32)
    found, top = np.empty(captions, np.float32), np.empty(captions, np.float32)
    for image in range(len(table)):
        _weigh(table, image, layout, codes, x, scale, norms, shift)
        for q in range(of_queries):
            _ask(table, image, layout, codes, x, scale, shift[q], q, weights, q * captions, totals[q], cosines[q])
        if words_ask:
            _mix(weights, gram[image], mixed)
        else:
            _mix_each(weights_each, gram, mixed_each)
        for q in range(of_queries):
            square, total, inverse, cosine = squares[q], totals[q], scales[q], cosines[q]
            length = query_norms[q if words_ask else image]
            square[:] = _ZERO
            for k in range(of_context):
                a, b = weights_each[k, q], mixed_each[k, q]
                for c in range(captions):
                    square[c] += a[c] * b[c]
            for c in range(counts[q] if words_ask else captions):
                norm = (length[c] if words_ask else length[q]) * np.float32(math.sqrt(square[c]))
                norm = norm if square[c] > _ZERO else _ZERO
                floor = _LEAST * total[c]
                square[c] = _ZERO if norm < floor else square[c]  # the rest is constant then
                inverse[c] = _ONE / (floor if norm < floor else norm)
                cosine[c] *= inverse[c]
        slopes[:] = cosines
        _unpool(slopes, layout, codes, upstream[image], found, top)
        for q in range(of_queries):
            square, total, cosine, slope, half = squares[q], totals[q], cosines[q], slopes[q], halves[q]
            length, inverse = query_norms[q if words_ask else image], scales[q]
            to_length = to_norms[q if words_ask else image]
            for c in range(counts[q] if words_ask else captions):
                share = slope[c] * cosine[c]
                live = square[c] > _ZERO
                along[c] = share / square[c] if live else _ZERO
                level[c] = _ZERO if live else share / total[c]
                half[c] = -along[c] / _TWO
                slope[c] *= inverse[c]
                found[c] = share / (length[c] if words_ask else length[q]) if live else _ZERO
            if words_ask:
                for c in range(counts[q]):
                    to_length[c] -= found[c]
            else:
                to_length[q] = -found.sum()
            for k in range(of_context):
                word, region = (q, k) if words_ask else (k, q)
                count, start = counts[word], starts[word]
                given = table[image, region, start : start + count]
                direct = to_table[image, region, start : start + count]
                weight, own = weights_each[k, q], mixed_each[k, q]
                for c in range(count):
                    direct[c] = slope[c] * weight[c]
                    own[c] = weight[c] * (slope[c] * given[c] - along[c] * own[c] - level[c])
        if words_ask:
            _multiply_out(weights, halves.reshape(of_queries * captions), to_gram[image])
        else:
            _multiply_out_each(weights_each, halves, to_gram)
        _unweigh(image, layout, codes, x, scale, norms, mixed_each, to_table)
