#include "kintsugi/zoo/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace kintsugi::zoo {

namespace {

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// (out,in), rows sum to 1.
std::vector<double> resize_matrix(int64_t in, int64_t out) {
  std::vector<double> matrix(size_t(in * out), 0);
  const double scale = double(in) / double(out), width = std::max(scale, 1.0);
  for (int64_t o = 0; o < out; ++o) {
    const double center = scale * (double(o) + 0.5), support = 2 * width;
    const int64_t first = std::max<int64_t>(int64_t(center - support + 0.5), 0);
    const int64_t last = std::min<int64_t>(int64_t(center + support + 0.5), in);
    double* row = &matrix[size_t(o * in)];
    double sum = 0;
    for (int64_t i = first; i < last; ++i) {
      sum += row[i] = cubic((double(i) - center + 0.5) / width);
    }
    for (int64_t i = first; i < last; ++i) row[i] /= sum;
  }
  return matrix;
}

}  // namespace

Tensor resize_bicubic_antialias(const Tensor& x, int64_t out_h, int64_t out_w) {
  const int64_t c = x.size(0), h = x.size(1), w = x.size(2);
  const auto rows = resize_matrix(h, out_h), columns = resize_matrix(w, out_w);
  const auto in = x.to_vector<double>();
  Tensor out = Tensor::empty({c, out_h, out_w});
  float* to = out.data<float>();
  std::vector<double> wide(size_t(h * out_w));
  for (int64_t k = 0; k < c; ++k) {
    const double* from = &in[size_t(k * h * w)];
    for (int64_t i = 0; i < h; ++i) {
      for (int64_t o = 0; o < out_w; ++o) {
        double sum = 0;
        for (int64_t j = 0; j < w; ++j) sum += columns[size_t(o * w + j)] * from[i * w + j];
        wide[size_t(i * out_w + o)] = sum;
      }
    }
    for (int64_t p = 0; p < out_h; ++p) {
      for (int64_t o = 0; o < out_w; ++o) {
        double sum = 0;
        for (int64_t i = 0; i < h; ++i)
          sum += rows[size_t(p * h + i)] * wide[size_t(i * out_w + o)];
        to[(k * out_h + p) * out_w + o] = float(sum);
      }
    }
  }
  return out;
}

}  // namespace kintsugi::zoo
