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
std::vector<double> resize_matrix(int64_t in, int64_t out, Resampling kernel) {
  std::vector<double> matrix(size_t(in * out), 0);
  if (kernel == Resampling::kBilinear) {
    for (int64_t o = 0; o < out; ++o) {
      const double place = (double(o) + 0.5) * double(in) / double(out) - 0.5;
      const double x = std::clamp(place, 0.0, double(in - 1));
      const auto left = int64_t(x);
      matrix[size_t(o * in + left)] += 1 - (x - double(left));
      matrix[size_t(o * in + std::min(left + 1, in - 1))] += x - double(left);
    }
    return matrix;
  }
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

// Where the `from` offsets of a table lie on the axis of `to` offsets around 0: 1, 1 + q, 1 + q +
// q^2 ..., with q such that the last one is at the end.
std::vector<double> geometric_places(int64_t from, int64_t to) {
  double left = 1.01, right = 1.5, q = 1.5;
  while (right - left > 1e-6) {
    q = (left + right) / 2;
    const double end = (1 - std::pow(q, double(from / 2))) / (1 - q);
    (end > double(to / 2) ? right : left) = q;
  }
  std::vector<double> places{0};
  double place = 1;
  for (int64_t i = 0; i < from / 2; ++i) {
    places.push_back(place);
    places.insert(places.begin(), -place);
    place += std::pow(q, double(i + 1));
  }
  return places;
}

// (to,from), rows sum to 1: linear between places, constant beyond the ends.
std::vector<double> offset_matrix(int64_t from, int64_t to) {
  const auto places = geometric_places(from, to);
  std::vector<double> matrix(size_t(from * to), 0);
  for (int64_t o = 0; o < to; ++o) {
    const double x = double(o - to / 2);
    double* row = &matrix[size_t(o * from)];
    const auto right = std::lower_bound(places.begin(), places.end(), x);
    if (right == places.begin()) {
      row[0] = 1;
    } else if (right == places.end()) {
      row[from - 1] = 1;
    } else {
      const double share = (x - right[-1]) / (*right - right[-1]);
      row[right - places.begin() - 1] = 1 - share;
      row[right - places.begin()] = share;
    }
  }
  return matrix;
}

}  // namespace

Tensor resize_offset_table(const Tensor& table, int64_t rows, int64_t columns) {
  const int64_t side = std::llround(std::floor(std::sqrt(double(table.size(0)))));
  const int64_t heads = table.size(1);
  if (side * side != table.size(0) || side < 1 || (side == rows && side == columns)) return table;
  const auto down = offset_matrix(side, rows), across = offset_matrix(side, columns);
  const auto in = table.to_vector<double>();
  Tensor out = Tensor::empty({rows * columns, heads});
  float* to = out.data<float>();
  for (int64_t o = 0; o < rows * columns; ++o) {
    for (int64_t k = 0; k < heads; ++k) {
      double sum = 0;
      for (int64_t i = 0; i < side; ++i) {
        const double weight = down[size_t(o / columns * side + i)];
        for (int64_t j = 0; weight != 0 && j < side; ++j) {
          sum += weight * across[size_t(o % columns * side + j)] *
                 in[size_t((i * side + j) * heads + k)];
        }
      }
      *to++ = float(sum);
    }
  }
  return out;
}

Tensor resize(const Tensor& x, int64_t out_h, int64_t out_w, Resampling kernel) {
  const int64_t c = x.size(0), h = x.size(1), w = x.size(2);
  const auto rows = resize_matrix(h, out_h, kernel), columns = resize_matrix(w, out_w, kernel);
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
