// A Pareto front by comparing all pairs, with nothing of the solvers in it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace kintsugi::solvers::test {

using Points = std::vector<std::vector<double>>;

// Points are costs, the first of them the objective's negative. By comparing all pairs; objectives
// that differ by rounding only count as equal.
inline Points front_by_hand(const Points& points) {
  Points front;
  const auto no_worse = [](const auto& a, const auto& b) {
    if (a[0] > b[0] + 1e-9) return false;
    return std::equal(a.begin() + 1, a.end(), b.begin() + 1, std::less_equal<>());
  };
  for (const auto& p : points) {
    if (std::any_of(front.begin(), front.end(), [&](const auto& q) { return no_worse(q, p); })) {
      continue;
    }
    std::erase_if(front, [&](const auto& q) { return no_worse(p, q); });
    front.push_back(p);
  }
  std::sort(front.begin(), front.end());
  return front;
}

inline void check_equal(const Points& got, const Points& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i][0] == doctest::Approx(expected[i][0]).epsilon(1e-9));
    CHECK(std::equal(got[i].begin() + 1, got[i].end(), expected[i].begin() + 1));
  }
}

}  // namespace kintsugi::solvers::test
