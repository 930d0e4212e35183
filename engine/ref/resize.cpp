#include "kintsugi/engine/ref/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kintsugi/engine/ref/walk.h"

namespace kintsugi::ref {

namespace {

// Keys' cubic kernel with a = -0.75 (1981).
double cubic(double t) {
  constexpr double a = -0.75;
  t = std::abs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((t - 5) * t + 8) * t * a - 4 * a;
  return 0;
}

}  // namespace

std::vector<std::vector<ResizeTap>> resize_rows(int64_t in, int64_t out,
                                                ops::Interpolation interpolation) {
  std::vector<std::vector<ResizeTap>> rows(static_cast<size_t>(out));
  const double scale = double(in) / double(out);
  const auto at = [&](int64_t i) { return std::clamp<int64_t>(i, 0, in - 1); };
  for (int64_t i = 0; i < out; ++i) {
    std::vector<ResizeTap>& row = rows[size_t(i)];
    const double centre = (double(i) + 0.5) * scale - 0.5;
    switch (interpolation) {
      case ops::Interpolation::kNearest:
        row = {{at(int64_t(std::floor(double(i) * scale))), 1}};
        break;
      case ops::Interpolation::kBilinear: {
        // PyTorch clamps the centre itself, so that borders repeat.
        const double c = std::max(0.0, centre);
        const int64_t low = at(int64_t(std::floor(c)));
        const double t = c - double(low);
        row = {{low, 1 - t}, {at(low + 1), t}};
        break;
      }
      case ops::Interpolation::kBicubic: {
        const int64_t low = int64_t(std::floor(centre));
        for (int64_t k = -1; k <= 2; ++k)
          row.push_back({at(low + k), cubic(centre - double(low + k))});
        break;
      }
    }
  }
  return rows;
}

namespace {

// body(index into big, index into small, weight) for every tap of every element of big, whose rows
// the taps belong to.
template <class Body>
void for_each_tap(const Shape& small, const Shape& big, ops::Interpolation interpolation,
                  const Body& body) {
  const auto rows_h = resize_rows(small[2], big[2], interpolation);
  const auto rows_w = resize_rows(small[3], big[3], interpolation);
  for_each_index(big, [&](const Index& i) {
    for (const ResizeTap& v : rows_h[size_t(i[2])]) {
      for (const ResizeTap& h : rows_w[size_t(i[3])]) {
        body(i, Index{i[0], i[1], v.index, h.index}, v.weight * h.weight);
      }
    }
  });
}

}  // namespace

void resize2d(const Tensor& x, ops::Interpolation interpolation, Tensor& y) {
  y.fill(0);
  visit_floating("resize2d", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<T> src(x), dst(y);
    for_each_tap(
        x.shape(), y.shape(), interpolation,
        [&](const Index& out, const Index& in, double weight) { dst(out) += T(weight) * src(in); });
  });
}

void resize2d_backward(const Tensor& dy, ops::Interpolation interpolation, Tensor& dx) {
  dx.fill(0);
  visit_floating("resize2d_backward", dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<T> diff_dst(dy), diff_src(dx);
    for_each_tap(dx.shape(), dy.shape(), interpolation,
                 [&](const Index& out, const Index& in, double weight) {
                   diff_src(in) += T(weight) * diff_dst(out);
                 });
  });
}

}  // namespace kintsugi::ref
