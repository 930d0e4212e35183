// Every pair of bases.
#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/dense/eigen.h"
#include "kintsugi/solvers/dense/products.h"
#include "kintsugi/solvers/subspaces.h"

namespace kintsugi::solvers {

namespace {

constexpr double kSvccaShare = 0.99;
constexpr size_t kGroup = 16;  // positions whose products with one more are taken at once

// What a metric needs of a basis beside U.
struct Side {
  size_t rank = 0;               // of U that counts
  std::vector<double> fitted;    // h (2 - h), h = s^2 / (s^2 + ridge): how much of a target along a
                                 // direction a regression on the basis explains
  std::vector<double> variance;  // s^2 / sum s^2: how much of this target lies along a direction
  double freedom = 0;            // sum of `fitted`
};

std::vector<double> fitted_by(const Basis& basis, double ridge) {
  std::vector<double> out;
  for (const double s : basis.s) {
    const double h = s * s / (s * s + ridge);
    out.push_back(h * (2 - h));
  }
  return out;
}

double sum(const std::vector<double>& values) {
  double total = 0;
  for (const double v : values) total += v;
  return total;
}

Side side_of(const Basis& basis, const SubspaceOptions& options) {
  Side side;
  side.rank = basis.rank();
  if (side.rank == 0) return side;
  double total = 0;
  for (const double s : basis.s) total += s * s;
  const double half = double(basis.rows - 1) / 2;
  if (options.metric == SubspaceMetric::kLinearRegression) {
    double ridge = options.ridge * total / double(side.rank);
    side.fitted = fitted_by(basis, ridge);
    if (sum(side.fitted) > half) {
      // df falls as the ridge grows: bisection over its logarithm.
      double low = std::log(total * 1e-16), high = std::log(total * double(basis.rows));
      for (int step = 0; step < 60; ++step) {
        const double middle = (low + high) / 2;
        (sum(fitted_by(basis, std::exp(middle))) > half ? low : high) = middle;
      }
      side.fitted = fitted_by(basis, std::exp(high));
    }
    side.freedom = sum(side.fitted);
    for (const double s : basis.s) side.variance.push_back(s * s / total);
    return side;
  }
  if (options.metric == SubspaceMetric::kSvcca) {
    double held = 0;
    for (side.rank = 0; side.rank < basis.rank() && held < kSvccaShare * total; ++side.rank) {
      held += basis.s[side.rank] * basis.s[side.rank];
    }
  }
  if (double(side.rank) > half) {
    fail(ErrorKind::kUsage, "similarity: features of ", side.rank, " dimensions on ", basis.rows,
         " rows are alike whatever they are; expected at most ", size_t(half),
         " (more images, or a projection)");
  }
  return side;
}

// Sum of the singular values of m (rows, cols).
double nuclear_norm(const double* m, size_t rows, size_t cols, size_t stride) {
  const bool tall = cols <= rows;
  const size_t n = tall ? cols : rows, k = tall ? rows : cols;
  const dense::Strided<double> side =
      tall ? dense::Strided<double>{m, 1, stride} : dense::Strided<double>{m, stride, 1};
  Matrix gram(n, n);
  dense::add_products<double>(n, n, k, side, side, 1, gram.values.data(), n, dense::Part::kUpper);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) gram(i, j) = gram(j, i);
  }
  double total = 0;
  for (const double v : dense::symmetric_eigen(gram, dense::Vectors::kNo)) {
    total += std::sqrt(std::max(0.0, v));
  }
  return total;
}

// m = Ua Ub^T, (a.rank, b.rank), rows `stride` apart.
PairSimilarity compare(const double* m, size_t stride, const Side& a, const Side& b, size_t rows,
                       SubspaceMetric metric) {
  if (a.rank == 0 || b.rank == 0) return {};
  const auto limited = [](double v) { return std::clamp(v, 0.0, 1.0); };
  const double least = double(std::min(a.rank, b.rank));
  if (metric == SubspaceMetric::kSvcca) {
    const double v = limited(nuclear_norm(m, a.rank, b.rank, stride) / least);
    return {v, v};
  }
  double forward = 0, backward = 0;
  for (size_t i = 0; i < a.rank; ++i) {
    double of_b = 0, by_b = 0;
    for (size_t j = 0; j < b.rank; ++j) {
      const double square = m[i * stride + j] * m[i * stride + j];
      if (metric == SubspaceMetric::kCca) {
        of_b += square;
      } else {
        of_b += square * b.variance[j];
        by_b += square * b.fitted[j];
      }
    }
    forward += metric == SubspaceMetric::kCca ? of_b : of_b * a.fitted[i];
    if (metric != SubspaceMetric::kCca) backward += by_b * a.variance[i];
  }
  if (metric == SubspaceMetric::kCca) {
    const double v = limited(forward / least);
    return {v, v};
  }
  const double n = double(rows - 1);
  return {limited(1 - (1 - forward) * n / (n - a.freedom)),
          limited(1 - (1 - backward) * n / (n - b.freedom))};
}

}  // namespace

PairSimilarity pair_similarity(const Basis& a, const Basis& b, const SubspaceOptions& options) {
  if (a.rows != b.rows) {
    fail(ErrorKind::kShape, "similarity: bases of ", a.rows, " and ", b.rows, " rows");
  }
  const Side left = side_of(a, options), right = side_of(b, options);
  Matrix m(left.rank, right.rank);
  dense::add_products<float>(left.rank, right.rank, a.rows, {a.u.data(), a.rows, 1},
                             {b.u.data(), b.rows, 1}, 1, m.values.data(), m.cols);
  return compare(m.values.data(), m.cols, left, right, a.rows, options.metric);
}

Matrix subspace_similarity(std::span<const Basis> bases, const SubspaceOptions& options,
                           const Control& control) {
  Clock clock(control);
  const size_t count = bases.size();
  std::vector<Side> sides;
  for (const Basis& basis : bases) {
    if (basis.rows != bases[0].rows) {
      fail(ErrorKind::kShape, "similarity: bases of ", bases[0].rows, " and ", basis.rows, " rows");
    }
    sides.push_back(side_of(basis, options));
  }
  Matrix out(count, count);
  const size_t rows = count == 0 ? 0 : bases[0].rows;
  std::vector<float> group;
  std::vector<double> products;
  double done = 0;
  // A group's bases side by side, times every basis before and in it.
  for (size_t first = 0; first < count; first += kGroup) {
    const size_t last = std::min(count, first + kGroup);
    group.clear();
    std::vector<size_t> column{0};
    for (size_t j = first; j < last; ++j) {
      const auto begin = bases[j].u.begin();
      group.insert(group.end(), begin, begin + ptrdiff_t(sides[j].rank * rows));
      column.push_back(column.back() + sides[j].rank);
    }
    const size_t width = column.back();
    for (size_t i = 0; i < last; ++i) {
      if (clock.stopped()) fail(ErrorKind::kInterrupted, "similarity: stopped");
      products.assign(sides[i].rank * width, 0);
      dense::add_products<float>(sides[i].rank, width, rows, {bases[i].u.data(), rows, 1},
                                 {group.data(), rows, 1}, 1, products.data(), width);
      cpu::parallel_for(int64_t(last - first), 1, [&](int64_t begin, int64_t end) {
        for (size_t j = first + size_t(begin); j < first + size_t(end); ++j) {
          if (j < i) continue;
          const PairSimilarity pair = compare(products.data() + column[j - first], width, sides[i],
                                              sides[j], rows, options.metric);
          out(i, j) = i == j ? 1 : pair.forward;
          out(j, i) = i == j ? 1 : pair.backward;
        }
      });
    }
    done += double(last - first) * double(last);
    clock.report(2 * done / (double(count) * double(count + kGroup)));
  }
  return out;
}

}  // namespace kintsugi::solvers
