#include "kintsugi/engine/ref/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::ref {

namespace {

struct Tap {
  int64_t index;
  double weight;
};
using Row = std::vector<Tap>;

// Keys' cubic kernel with a = -0.75 (1981).
double cubic(double t) {
  constexpr double a = -0.75;
  t = std::abs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((t - 5) * t + 8) * t * a - 4 * a;
  return 0;
}

// Row i: what output i takes of the `in` inputs of an axis.
std::vector<Row> rows_of(int64_t in, int64_t out, ops::Interpolation interpolation) {
  std::vector<Row> rows(static_cast<size_t>(out));
  const double scale = double(in) / double(out);
  const auto at = [&](int64_t i) { return std::clamp<int64_t>(i, 0, in - 1); };
  for (int64_t i = 0; i < out; ++i) {
    Row& row = rows[size_t(i)];
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
        for (int64_t k = -1; k <= 2; ++k) row.push_back({at(low + k), cubic(centre - double(low + k))});
        break;
      }
    }
  }
  return rows;
}

template <class T, class F>
void for_taps(const Tensor& small, const Tensor& big, ops::Interpolation interpolation, const F& f) {
  // small: (N,C,H,W) that taps point into; big: (N,C,OH,OW) that rows belong to.
  const auto rows_h = rows_of(small.size(2), big.size(2), interpolation);
  const auto rows_w = rows_of(small.size(3), big.size(3), interpolation);
  const Strides &s = small.strides(), &b = big.strides();
  const int64_t channels = big.size(1);
  // Images do not share elements, so they may run at once in either direction.
  cpu::parallel_for(big.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      for (int64_t i = 0; i < big.size(2); ++i) {
        for (int64_t j = 0; j < big.size(3); ++j) {
          for (const Tap& v : rows_h[size_t(i)]) {
            for (const Tap& h : rows_w[size_t(j)]) {
              f(n * b[0] + i * b[2] + j * b[3], n * s[0] + v.index * s[2] + h.index * s[3],
                T(v.weight * h.weight), channels, b[1], s[1]);
            }
          }
        }
      }
    }
  });
}

}  // namespace

void resize2d(const Tensor& x, const Tensor& y, ops::Interpolation interpolation) {
  visit_floating("resize2d", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Tensor out = y;
    out.fill(0);
    const T* src = x.data<T>();
    T* dst = y.data<T>();
    for_taps<T>(x, y, interpolation,
                [&](int64_t big, int64_t small, T weight, int64_t channels, int64_t bc, int64_t sc) {
                  for (int64_t c = 0; c < channels; ++c) dst[big + c * bc] += weight * src[small + c * sc];
                });
  });
}

void resize2d_backward(const Tensor& dy, const Tensor& dx, ops::Interpolation interpolation) {
  visit_floating("resize2d_backward", dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Tensor out = dx;
    out.fill(0);
    const T* src = dy.data<T>();
    T* dst = dx.data<T>();
    for_taps<T>(dx, dy, interpolation,
                [&](int64_t big, int64_t small, T weight, int64_t channels, int64_t bc, int64_t sc) {
                  for (int64_t c = 0; c < channels; ++c) dst[small + c * sc] += weight * src[big + c * bc];
                });
  });
}

}  // namespace kintsugi::ref
