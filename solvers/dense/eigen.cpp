#include "kintsugi/solvers/dense/eigen.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::solvers::dense {

namespace {

constexpr int64_t kGrain = 1 << 16;  // multiply-adds that repay a thread's start

// Eight sums in a fixed order: the compiler may not reorder one.
double dot(const double* x, const double* y, size_t n) {
  double sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] += x[i + j] * y[i + j];
  }
  for (; i < n; ++i) sums[0] += x[i] * y[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

struct Tridiagonal {
  std::vector<double> diagonal;
  std::vector<double> off;  // off[i] stands between diagonal[i] and diagonal[i + 1]
};

// A = Q T Q^T. With `vectors` rows of `a` end as Q^T, else `a` holds the reflectors.
Tridiagonal tridiagonalise(Matrix& a, bool vectors) {
  const size_t n = a.rows;
  Tridiagonal t{std::vector<double>(n, 0), std::vector<double>(n, 0)};
  std::vector<double> beta(n, 0), p(n);
  for (size_t k = 0; k + 2 < n; ++k) {
    // The reflector that maps row k beyond the diagonal to a multiple of the first unit vector
    // takes that row's place.
    double* const v = a.values.data() + k * n + k + 1;
    const size_t m = n - k - 1;
    double largest = 0;
    for (size_t i = 0; i < m; ++i) largest = std::max(largest, std::abs(v[i]));
    if (largest == 0) continue;
    for (size_t i = 0; i < m; ++i) v[i] /= largest;
    const double norm = std::sqrt(dot(v, v, m));
    const double alpha = v[0] > 0 ? -norm : norm;
    t.off[k] = alpha * largest;
    v[0] -= alpha;
    beta[k] = 2 / dot(v, v, m);
    // A <- H A H on what is left: p = beta A v, w = p - beta/2 (p.v) v, A -= v w^T + w v^T.
    const int64_t grain = kGrain / int64_t(m) + 1;
    const auto row = [&](size_t i) { return a.values.data() + (k + 1 + i) * n + k + 1; };
    cpu::parallel_for(int64_t(m), grain, [&](int64_t begin, int64_t end) {
      for (size_t i = size_t(begin); i < size_t(end); ++i) p[i] = beta[k] * dot(row(i), v, m);
    });
    const double half = beta[k] / 2 * dot(p.data(), v, m);
    for (size_t i = 0; i < m; ++i) p[i] -= half * v[i];
    cpu::parallel_for(int64_t(m), grain, [&](int64_t begin, int64_t end) {
      for (size_t i = size_t(begin); i < size_t(end); ++i) {
        double* const r = row(i);
        const double vi = v[i], wi = p[i];
        for (size_t j = 0; j < m; ++j) r[j] -= vi * p[j] + wi * v[j];
      }
    });
  }
  for (size_t i = 0; i < n; ++i) t.diagonal[i] = a(i, i);
  if (n >= 2) t.off[n - 2] = a(n - 2, n - 1);
  if (!vectors) return t;

  // Q^T = ((I H_last) ...) H_0, from the last reflector back: each touches rows and columns beyond
  // its own only.
  Matrix q(n, n);
  for (size_t i = 0; i < n; ++i) q(i, i) = 1;
  for (size_t k = n < 2 ? 0 : n - 2; k-- > 0;) {
    if (beta[k] == 0) continue;
    const double* const v = a.values.data() + k * n + k + 1;
    const size_t m = n - k - 1;
    cpu::parallel_for(int64_t(m), kGrain / int64_t(m) + 1, [&](int64_t begin, int64_t end) {
      for (size_t i = size_t(begin); i < size_t(end); ++i) {
        double* const r = q.values.data() + (k + 1 + i) * n + k + 1;
        const double factor = beta[k] * dot(r, v, m);
        for (size_t j = 0; j < m; ++j) r[j] -= factor * v[j];
      }
    });
  }
  a = std::move(q);
  return t;
}

struct Rotation {
  double c, s;
};

// Rotation r turns rows top - r and top - r + 1. By stretches of columns that stay in the cache.
void rotate_rows(Matrix& q, size_t top, const std::vector<Rotation>& rotations) {
  constexpr size_t kColumns = 64;
  const size_t n = q.cols, stretches = (n + kColumns - 1) / kColumns;
  const int64_t work = int64_t(rotations.size() * kColumns);
  cpu::parallel_for(int64_t(stretches), kGrain / std::max<int64_t>(1, work) + 1,
                    [&](int64_t begin, int64_t end) {
                      for (size_t b = size_t(begin); b < size_t(end); ++b) {
                        const size_t first = b * kColumns, count = std::min(kColumns, n - first);
                        for (size_t r = 0; r < rotations.size(); ++r) {
                          const auto [c, s] = rotations[r];
                          double* const low = q.values.data() + (top - r) * n + first;
                          double* const high = low + n;
                          for (size_t j = 0; j < count; ++j) {
                            const double h = high[j];
                            high[j] = s * low[j] + c * h;
                            low[j] = c * low[j] - s * h;
                          }
                        }
                      }
                    });
}

// T's eigenvalues in t.diagonal; rows of `q`, where there is one, are turned with them.
void implicit_ql(Tridiagonal& t, Matrix* q) {
  std::vector<double>&d = t.diagonal, &e = t.off;
  const size_t n = d.size();
  std::vector<Rotation> rotations;
  for (size_t l = 0; l < n; ++l) {
    // Convergence is cubic with Wilkinson's shift; the limit only guards against a loop.
    for (int round = 0; round < 60; ++round) {
      size_t m = l;
      for (; m + 1 < n; ++m) {
        if (std::abs(e[m]) <= 0x1p-53 * (std::abs(d[m]) + std::abs(d[m + 1]))) break;
      }
      if (m == l) break;
      double g = (d[l + 1] - d[l]) / (2 * e[l]);
      double r = std::hypot(g, 1.0);
      g = d[m] - d[l] + e[l] / (g + std::copysign(r, g));
      double s = 1, c = 1, p = 0;
      rotations.clear();
      bool split = false;
      for (size_t i = m; i-- > l;) {
        double f = s * e[i];
        const double b = c * e[i];
        r = std::hypot(f, g);
        e[i + 1] = r;
        if (r == 0) {
          d[i + 1] -= p;
          e[m] = 0;
          split = true;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        rotations.push_back({c, s});
      }
      if (q && !rotations.empty()) rotate_rows(*q, m - 1, rotations);
      if (split) continue;
      d[l] -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
}

}  // namespace

std::vector<double> symmetric_eigen(Matrix& a, Vectors vectors) {
  const size_t n = a.rows;
  const bool wanted = vectors == Vectors::kYes;
  Tridiagonal t = tridiagonalise(a, wanted);
  implicit_ql(t, wanted ? &a : nullptr);
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t x, size_t y) { return t.diagonal[x] > t.diagonal[y]; });
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = t.diagonal[order[i]];
  if (wanted) {
    Matrix sorted(n, n);
    for (size_t i = 0; i < n; ++i) std::ranges::copy(a.row(order[i]), sorted.row(i).begin());
    a = std::move(sorted);
  }
  return values;
}

}  // namespace kintsugi::solvers::dense
