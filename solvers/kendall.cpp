#include "kintsugi/solvers/kendall.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::solvers {

namespace {

int64_t pairs_of(int64_t n) {
  return n * (n - 1) / 2;
}

// Pairs within runs of equal neighbours.
template <class Equal>
int64_t tied_pairs(size_t n, Equal equal) {
  int64_t ties = 0;
  for (size_t begin = 0; begin < n;) {
    size_t end = begin + 1;
    while (end < n && equal(begin, end)) ++end;
    ties += pairs_of(int64_t(end - begin));
    begin = end;
  }
  return ties;
}

// Sorts and returns the number of pairs that stood in the wrong order.
int64_t sort_counting(std::span<double> y, std::span<double> spare) {
  if (y.size() < 2) return 0;
  const size_t half = y.size() / 2;
  int64_t inversions = sort_counting(y.first(half), spare.first(half)) +
                       sort_counting(y.subspan(half), spare.subspan(half));
  for (size_t left = 0, right = half, out = 0; out < y.size(); ++out) {
    const bool take_left = right == y.size() || (left < half && y[left] <= y[right]);
    if (!take_left) inversions += int64_t(half - left);
    spare[out] = take_left ? y[left++] : y[right++];
  }
  std::copy(spare.begin(), spare.end(), y.begin());
  return inversions;
}

}  // namespace

double kendall_tau(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) {
    fail(ErrorKind::kShape, "kendall: got ", x.size(), " and ", y.size(), " values");
  }
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::isnan(y[i]))
      fail(ErrorKind::kNumeric, "kendall: value ", i, " is NaN");
  }
  const size_t n = x.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return x[a] < x[b] || (x[a] == x[b] && y[a] < y[b]); });
  const auto equal_x = [&](size_t a, size_t b) { return x[order[a]] == x[order[b]]; };
  const auto equal_both = [&](size_t a, size_t b) {
    return equal_x(a, b) && y[order[a]] == y[order[b]];
  };
  std::vector<double> sorted, spare(n);
  for (const size_t i : order) sorted.push_back(y[i]);
  const int64_t discordant = sort_counting(sorted, spare);
  const int64_t all = pairs_of(int64_t(n));
  const int64_t ties_x = tied_pairs(n, equal_x), ties_both = tied_pairs(n, equal_both);
  const int64_t ties_y = tied_pairs(n, [&](size_t a, size_t b) { return sorted[a] == sorted[b]; });
  if (ties_x == all || ties_y == all) return std::numeric_limits<double>::quiet_NaN();
  const int64_t concordant = all - ties_x - ties_y + ties_both - discordant;
  return double(concordant - discordant) /
         std::sqrt(double(all - ties_x) * double(all - ties_y));
}

double kendall_chance(size_t n) {
  if (n < 2) return 1;
  const double m = double(n);
  return std::min(1.0, 1.96 * std::sqrt(2 * (2 * m + 5) / (9 * m * (m - 1))));
}

}  // namespace kintsugi::solvers
