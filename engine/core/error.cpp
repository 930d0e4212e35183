#include "kintsugi/engine/core/error.h"

#include <algorithm>
#include <numeric>

#include "kintsugi/engine/core/printable.h"

namespace kintsugi {

namespace {

// Levenshtein's distance, with a swap of neighbours as one edit (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  std::iota(d[0].begin(), d[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest_name(std::string_view got, std::span<const std::string> candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, got.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t gap = candidate.size() > got.size() ? candidate.size() - got.size()
                                                     : got.size() - candidate.size();
    if (gap >= best_distance) continue;
    const size_t distance = edit_distance(got, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view got, std::span<const std::string> candidates) {
  const std::string name = nearest_name(got, candidates);
  return name.empty() ? "" : "; did you mean '" + printable(name) + "'?";
}

}  // namespace kintsugi
