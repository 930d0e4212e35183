#include "kintsugi/engine/cpu/simd/norm.h"

#include "kintsugi/engine/cpu/simd/lanes.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

constexpr int64_t kBlock = 128;  // rows that are summed in f32 before they go into f64

// --- columns ---

// A block's columns: shifted by `origin`, a value near the mean, so that squares do not cancel.
template <int kVecs, class Lanes>
inline void block_moments(Lanes lanes, const float* x, int64_t stride, int64_t rows, int64_t before,
                          double* mean, double* squares) {
  Vec origin[kVecs], sum[kVecs] = {}, square[kVecs] = {};
  for (int j = 0; j < kVecs; ++j) {
    origin[j] = lanes.get(x + j * kLanes);
    if (before > 0) {
      for (int l = 0; l < lanes.count; ++l) origin[j][l] = float(mean[j * kLanes + l]);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) {
      const Vec d = lanes.get(x + r * stride + j * kLanes) - origin[j];
      sum[j] += d;
      square[j] += d * d;
    }
  }
  const double n = double(rows), all = double(before + rows);
  for (int j = 0; j < kVecs; ++j) {
    for (int l = 0; l < lanes.count; ++l) {
      const double s = sum[j][l];
      const double rest = double(square[j][l]) - s * s / n;
      const double delta = double(origin[j][l]) + s / n - mean[j * kLanes + l];
      mean[j * kLanes + l] += delta * (n / all);
      squares[j * kLanes + l] +=
          (rest > 0 || rest != rest ? rest : 0) + delta * delta * (double(before) * n / all);
    }
  }
}

void moments(const float* x, int64_t rows, int64_t columns, double* mean, double* squares) {
  for (int64_t c = 0; c < columns; ++c) mean[c] = squares[c] = 0;
  for (int64_t r = 0; r < rows; r += kBlock) {
    const int64_t count = r + kBlock < rows ? kBlock : rows - r;
    const float* block = x + r * columns;
    int64_t c = 0;
    for (; c + 4 * kLanes <= columns; c += 4 * kLanes) {
      block_moments<4>(Whole{}, block + c, columns, count, r, mean + c, squares + c);
    }
    for (; c + kLanes <= columns; c += kLanes) {
      block_moments<1>(Whole{}, block + c, columns, count, r, mean + c, squares + c);
    }
    if (c < columns) {
      block_moments<1>(Part(columns - c), block + c, columns, count, r, mean + c, squares + c);
    }
  }
}

template <int kVecs, class Lanes>
inline void block_sums(Lanes lanes, const float* x, const float* dy, int64_t stride, int64_t rows,
                       const float* mean, double* sum, double* dot) {
  Vec origin[kVecs], sums[kVecs] = {}, dots[kVecs] = {};
  for (int j = 0; j < kVecs; ++j) origin[j] = lanes.get(mean + j * kLanes);
  for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) {
      const Vec grad = lanes.get(dy + r * stride + j * kLanes);
      sums[j] += grad;
      dots[j] += grad * (lanes.get(x + r * stride + j * kLanes) - origin[j]);
    }
  }
  for (int j = 0; j < kVecs; ++j) {
    for (int l = 0; l < lanes.count; ++l) {
      sum[j * kLanes + l] += sums[j][l];
      dot[j * kLanes + l] += dots[j][l];
    }
  }
}

void sums(const float* x, const float* dy, int64_t rows, int64_t columns, const float* mean,
          double* sum, double* dot) {
  for (int64_t r = 0; r < rows; r += kBlock) {
    const int64_t count = r + kBlock < rows ? kBlock : rows - r;
    const float *xs = x + r * columns, *grads = dy + r * columns;
    int64_t c = 0;
    for (; c + 4 * kLanes <= columns; c += 4 * kLanes) {
      block_sums<4>(Whole{}, xs + c, grads + c, columns, count, mean + c, sum + c, dot + c);
    }
    for (; c + kLanes <= columns; c += kLanes) {
      block_sums<1>(Whole{}, xs + c, grads + c, columns, count, mean + c, sum + c, dot + c);
    }
    if (c < columns) {
      block_sums<1>(Part(columns - c), xs + c, grads + c, columns, count, mean + c, sum + c,
                    dot + c);
    }
  }
}

void apply(const float* x, int64_t rows, int64_t columns, const float* mean, const float* scale,
           const float* shift, float* y) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    each_vector(columns, [&](auto lanes, int64_t c) {
      const Vec d = lanes.get(x + c) - lanes.get(mean + c);
      lanes.put(y + c, d * lanes.get(scale + c) + lanes.get(shift + c));
    });
  }
}

void apply_backward(const float* x, const float* dy, int64_t rows, int64_t columns,
                    const float* mean, const float* scale, const float* slope, const float* shift,
                    float* dx) {
  for (int64_t r = 0; r < rows; ++r, x += columns, dy += columns, dx += columns) {
    each_vector(columns, [&](auto lanes, int64_t c) {
      const Vec d = lanes.get(x + c) - lanes.get(mean + c);
      const Vec rest = d * lanes.get(slope + c) + lanes.get(shift + c);
      lanes.put(dx + c, lanes.get(dy + c) * lanes.get(scale + c) + rest);
    });
  }
}

// --- rows ---

void rows_forward(const float* x, int64_t rows, int64_t columns, const float* weight,
                  const float* bias, double epsilon, float* y, float* mean, float* rstd) {
  const float inverse = float(1.0 / double(columns));
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    Vec total{};
    each_vector(columns, [&](auto lanes, int64_t c) { total += lanes.get(x + c); });
    const float m = lane_sum(total) * inverse;
    // The second pass also tells what rounding left over of the first.
    Vec rest{}, square{};
    each_vector(columns, [&](auto lanes, int64_t c) {
      const Vec d = lanes.keep(lanes.get(x + c) - m);
      rest += d;
      square += d * d;
    });
    const float correction = lane_sum(rest) * inverse;
    const double variance = double(lane_sum(square)) * inverse - double(correction) * correction;
    const float centre = m + correction;
    const float scale = float(1.0 / __builtin_sqrt((variance < 0 ? 0 : variance) + epsilon));
    mean[r] = centre;
    rstd[r] = scale;
    each_vector(columns, [&](auto lanes, int64_t c) {
      Vec v = (lanes.get(x + c) - centre) * scale;
      if (weight) v *= lanes.get(weight + c);
      if (bias) v += lanes.get(bias + c);
      lanes.put(y + c, v);
    });
  }
}

void rows_backward(const float* x, const float* dy, int64_t rows, int64_t columns,
                   const float* weight, const float* mean, const float* rstd, float* dx,
                   double* dweight, double* dbias, float* room) {
  const float inverse = float(1.0 / double(columns));
  float *weights = room, *biases = room + columns;
  for (int64_t start = 0; start < rows; start += kBlock) {
    const int64_t stop = start + kBlock < rows ? start + kBlock : rows;
    for (int64_t c = 0; c < 2 * columns; ++c) room[c] = 0;
    for (int64_t r = start; r < stop; ++r) {
      const float *xs = x + r * columns, *grads = dy + r * columns;
      float* out = dx + r * columns;
      const float centre = mean[r], scale = rstd[r];
      Vec sum_g{}, sum_gx{};
      each_vector(columns, [&](auto lanes, int64_t c) {
        const Vec grad = lanes.get(grads + c);
        const Vec normal = (lanes.get(xs + c) - centre) * scale;
        const Vec g = weight ? grad * lanes.get(weight + c) : grad;
        sum_g += g;
        sum_gx += g * normal;
        lanes.put(weights + c, lanes.get(weights + c) + grad * normal);
        lanes.put(biases + c, lanes.get(biases + c) + grad);
      });
      const float mean_g = lane_sum(sum_g) * inverse, mean_gx = lane_sum(sum_gx) * inverse;
      each_vector(columns, [&](auto lanes, int64_t c) {
        const Vec normal = (lanes.get(xs + c) - centre) * scale;
        const Vec grad = lanes.get(grads + c);
        const Vec g = weight ? grad * lanes.get(weight + c) : grad;
        lanes.put(out + c, (g - mean_g - normal * mean_gx) * scale);
      });
    }
    for (int64_t c = 0; c < columns; ++c) {
      dweight[c] += weights[c];
      dbias[c] += biases[c];
    }
  }
}

}  // namespace

extern const NormKernels norm_kernels_table = {moments,        apply,        sums,
                                               apply_backward, rows_forward, rows_backward};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
