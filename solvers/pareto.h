// What no other beats: the filter under every Pareto front of the room. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kintsugi::solvers::pareto {

// A point is one value, to be great, then costs, to be small. It is beaten by another that is no
// worse in any of them, so of equal points the first stays.
class Front {
 public:
  explicit Front(size_t width) : width_(width) {}

  bool beats(const double* point);
  void keep(const double* point) { kept_.insert(kept_.end(), point, point + width_); }
  size_t size() const { return kept_.size() / width_; }

  // Which of `count` points neither this front nor another of them beats, greatest value first;
  // they are kept.
  std::vector<uint32_t> admit(const double* points, size_t count);

 private:
  size_t width_;
  std::vector<double> kept_;
};

}  // namespace kintsugi::solvers::pareto
