// Kendall's rank correlation (Kendall 1945, "The Treatment of Ties in Ranking Problems").
#pragma once

#include <cstddef>
#include <span>

namespace kintsugi::solvers {

// tau-b = (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)), in [-1, 1], by
// Knight's merge sort (1966): O(n log n). Infinities rank as they stand. NaN where it has no value:
// fewer than two numbers, or all of x or of y equal. kShape where the lengths differ,
// kNumeric for a NaN among the values.
double kendall_tau(std::span<const double> x, std::span<const double> y);

// Where x and y have nothing to do with each other, |tau| stays below this in 95 of 100 cases
// (the normal approximation without ties).
double kendall_chance(size_t n);

}  // namespace kintsugi::solvers
