#include "kintsugi/zoo/datasets/resize.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::zoo {

namespace {

constexpr int kPrecision =
    22;  // bits of a weight's fraction: 8 bits of pixel and 2 of overshoot left

struct Taps {
  int first = 0;
  std::vector<int32_t> weights;  // their sum is 1 << kPrecision, up to rounding
};

double triangle(double x) {
  return std::max(0.0, 1 - std::abs(x));
}

double cubic(double x) {  // Keys, 1981, with a = -1/2
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// The taps of outputs offset .. offset+count-1 of `from` samples resized to `to`.
std::vector<Taps> taps_of(int from, int to, int offset, int count, Interpolation interpolation) {
  const bool bicubic = interpolation == Interpolation::kBicubic;
  const double scale = double(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double support = (bicubic ? 2.0 : 1.0) * stretch;
  std::vector<Taps> all(static_cast<size_t>(count));
  std::vector<double> weights;
  for (int i = 0; i < count; ++i) {
    const double centre = (offset + i + 0.5) * scale;
    const int first = std::max(0, int(centre - support + 0.5));
    const int last = std::min(from, int(centre + support + 0.5));
    weights.clear();
    double sum = 0;
    for (int x = first; x < last; ++x) {
      const double at = (x - centre + 0.5) / stretch;
      weights.push_back(bicubic ? cubic(at) : triangle(at));
      sum += weights.back();
    }
    Taps& taps = all[size_t(i)];
    taps.first = first;
    for (const double weight : weights) {
      taps.weights.push_back(int32_t(std::round(weight / sum * (1 << kPrecision))));
    }
  }
  return all;
}

uint8_t to_pixel(int32_t sum) {
  return uint8_t(std::clamp(sum >> kPrecision, 0, 255));
}

}  // namespace

std::vector<uint8_t> resize_image(std::span<const uint8_t> pixels, int height, int width,
                                  int channels, const ResizePlan& plan,
                                  Interpolation interpolation) {
  const auto columns = taps_of(width, plan.width, plan.left, plan.window_width, interpolation);
  const auto rows = taps_of(height, plan.height, plan.top, plan.window_height, interpolation);
  const size_t c = size_t(channels), in_row = size_t(width) * c;
  const size_t out_row = size_t(plan.window_width) * c;
  constexpr int32_t kHalf = 1 << (kPrecision - 1);

  // Across first, over the rows that the second pass will read.
  const int top = rows.front().first;
  const int bottom = rows.back().first + int(rows.back().weights.size());
  std::vector<uint8_t> middle;
  std::span<const uint8_t> across = pixels.subspan(size_t(top) * in_row);
  if (plan.width != width || plan.left != 0 || plan.window_width != width) {
    middle.resize(size_t(bottom - top) * out_row);
    for (int y = top; y < bottom; ++y) {
      const uint8_t* src = pixels.data() + size_t(y) * in_row;
      uint8_t* dst = middle.data() + size_t(y - top) * out_row;
      for (const Taps& taps : columns) {
        for (size_t k = 0; k < c; ++k) {
          int32_t sum = kHalf;
          const uint8_t* at = src + size_t(taps.first) * c + k;
          for (const int32_t weight : taps.weights) sum += weight * *at, at += c;
          *dst++ = to_pixel(sum);
        }
      }
    }
    across = middle;
  }

  std::vector<uint8_t> out(size_t(plan.window_height) * out_row);
  std::vector<int32_t> sums(out_row);
  for (int y = 0; y < plan.window_height; ++y) {
    const Taps& taps = rows[size_t(y)];
    std::fill(sums.begin(), sums.end(), kHalf);
    for (size_t t = 0; t < taps.weights.size(); ++t) {
      const uint8_t* src = across.data() + (size_t(taps.first - top) + t) * out_row;
      for (size_t x = 0; x < out_row; ++x) sums[x] += taps.weights[t] * src[x];
    }
    std::transform(sums.begin(), sums.end(), out.begin() + ptrdiff_t(size_t(y) * out_row),
                   to_pixel);
  }
  return out;
}

ResizePlan plan_resize(int from_height, int from_width, int height, int width,
                       double crop_fraction) {
  if (crop_fraction == 0) return {height, width, 0, 0, height, width};
  const auto scaled = [&](int size) { return int64_t(std::floor(size / crop_fraction)); };
  int64_t whole_height = scaled(height), whole_width = scaled(width);
  if (whole_height * from_width >= whole_width * from_height) {
    whole_width = whole_height * from_width / from_height;
  } else {
    whole_height = whole_width * from_height / from_width;
  }
  if (std::max(whole_height, whole_width) > (1 << 20)) {
    fail(ErrorKind::kShape, "resize: an image of ", from_height, " x ", from_width,
         " would become ", whole_height, " x ", whole_width, ", expected at most 2^20 a side");
  }
  const auto middle = [](int64_t whole, int part) {
    return int(std::nearbyint(double(whole - part) / 2));  // halves to even, as torchvision rounds
  };
  return {int(whole_height),          int(whole_width), middle(whole_height, height),
          middle(whole_width, width), height,           width};
}

}  // namespace kintsugi::zoo
