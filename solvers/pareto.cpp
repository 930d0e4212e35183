#include "kintsugi/solvers/pareto.h"

#include <algorithm>
#include <numeric>

namespace kintsugi::solvers::pareto {

bool Front::beats(const double* point) {
  for (size_t at = 0; at < kept_.size(); at += width_) {
    double* kept = kept_.data() + at;
    if (kept[0] < point[0]) continue;
    size_t c = 1;
    while (c < width_ && kept[c] <= point[c]) ++c;
    if (c < width_) continue;
    // Who beats one beats many: such points wander to the front, where they are asked early.
    if (at > 0) std::swap_ranges(kept, kept + width_, kept_.data() + at / width_ / 2 * width_);
    return true;
  }
  return false;
}

std::vector<uint32_t> Front::admit(const double* points, size_t count) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  // In this order no point is beaten by a later one that is not its equal.
  std::sort(order.begin(), order.end(), [&](uint32_t i, uint32_t j) {
    const double *a = points + i * width_, *b = points + j * width_;
    if (a[0] != b[0]) return a[0] > b[0];
    for (size_t c = 1; c < width_; ++c) {
      if (a[c] != b[c]) return a[c] < b[c];
    }
    return i < j;
  });
  std::erase_if(order, [&](uint32_t i) {
    if (beats(points + i * width_)) return true;
    keep(points + i * width_);
    return false;
  });
  return order;
}

}  // namespace kintsugi::solvers::pareto
