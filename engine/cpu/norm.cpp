#include "kintsugi/engine/cpu/norm.h"

#include <cmath>
#include <vector>

#include "kintsugi/engine/cpu/simd/norm.h"
#include "kintsugi/engine/cpu/workers.h"

namespace kintsugi::cpu {

namespace {

constexpr int64_t kGrain = 1 << 14;  // elements that are worth a thread

const float* values(const Tensor& x) {
  return x.defined() ? x.data<float>() : nullptr;
}

// Few channels are seen as `fold` rows side by side, so that vectors are full and enough of them
// run at once; the rows left over are seen as they are.
struct Folded {
  int64_t channels, fold, width, rows, rest;

  Folded(int64_t row_count, int64_t channel_count) : channels(channel_count), fold(1) {
    constexpr int64_t kWide = 64, kVector = 16;
    if (channels < kWide) {
      fold = (kWide + channels - 1) / channels;
      while (fold * channels % kVector != 0) ++fold;
    }
    width = channels * fold;
    rows = row_count / fold;
    rest = row_count % fold;
  }
  int64_t rest_offset() const { return rows * width; }
};

// Per-channel numbers repeated over a folded row.
class Repeated {
 public:
  explicit Repeated(const Folded& f, int count) : f_(f), room_(Tensor::empty({count, f.width})) {}
  float* row(int i) const { return room_.data<float>() + i * f_.width; }
  template <class Value>
  void fill(int i, const Value& value) const {
    float* const out = row(i);
    for (int64_t c = 0; c < f_.channels; ++c) out[c] = float(value(c));
    for (int64_t c = f_.channels; c < f_.width; ++c) out[c] = out[c - f_.channels];
  }

 private:
  Folded f_;
  Tensor room_;
};

// body(offset, rows, columns) over ranges of rows.
template <class Body>
void for_rows(const Folded& f, const Body& body) {
  parallel_for(f.rows, kGrain / f.width,
               [&](int64_t begin, int64_t end) { body(begin * f.width, end - begin, f.width); });
  if (f.rest > 0) body(f.rest_offset(), f.rest, f.channels);
}

struct Moments {
  std::vector<double> mean, squares;  // per channel: squared deviations summed
};

// Chan, Golub & LeVeque 1979: joins the moments of `n` more values to those of `before`.
void join(double& mean, double& squares, double before, double n, double more_mean,
          double more_squares) {
  const double delta = more_mean - mean, all = before + n;
  mean += delta * (n / all);
  squares += more_squares + delta * delta * (before * n / all);
}

Moments moments(const Folded& f, const float* x) {
  const int workers = workers_for(f.rows, kGrain / f.width);
  const Tensor room = Tensor::empty({workers + 1, 2, f.width}, DType::kF64);
  double* const partial = room.data<double>();
  for_workers(workers, f.rows, [&](int worker, int64_t begin, int64_t end) {
    double* const mean = partial + worker * 2 * f.width;
    norm_kernels().moments(x + begin * f.width, end - begin, f.width, mean, mean + f.width);
  });
  double* const rest = partial + workers * 2 * f.width;
  norm_kernels().moments(x + f.rest_offset(), f.rest, f.channels, rest, rest + f.width);

  Moments out{std::vector<double>(size_t(f.channels), 0),
              std::vector<double>(size_t(f.channels), 0)};
  double before = 0;
  const auto take = [&](const double* mean, double n) {
    if (n == 0) return;
    for (int64_t c = 0; c < f.channels; ++c) {
      join(out.mean[size_t(c)], out.squares[size_t(c)], before, n, mean[c], mean[f.width + c]);
    }
    before += n;
  };
  for (int w = 0; w < workers; ++w) {
    const double n = double(f.rows * (w + 1) / workers - f.rows * w / workers);
    for (int64_t k = 0; k < f.fold; ++k) take(partial + w * 2 * f.width + k * f.channels, n);
  }
  take(rest, double(f.rest));
  return out;
}

struct Sums {
  std::vector<double> dy, dot;  // per channel: dy, and dy * (x - mean)
};

Sums sums(const Folded& f, const float* x, const float* dy, const float* mean) {
  const int workers = workers_for(f.rows, kGrain / f.width);
  const Tensor room = Tensor::zeros({workers + 1, 2, f.width}, DType::kF64);
  double* const partial = room.data<double>();
  for_workers(workers, f.rows, [&](int worker, int64_t begin, int64_t end) {
    double* const sum = partial + worker * 2 * f.width;
    norm_kernels().sums(x + begin * f.width, dy + begin * f.width, end - begin, f.width, mean, sum,
                        sum + f.width);
  });
  double* const rest = partial + workers * 2 * f.width;
  norm_kernels().sums(x + f.rest_offset(), dy + f.rest_offset(), f.rest, f.channels, mean, rest,
                      rest + f.width);
  Sums out{std::vector<double>(size_t(f.channels), 0), std::vector<double>(size_t(f.channels), 0)};
  for (int w = 0; w <= workers; ++w) {
    for (int64_t c = 0; c < f.width; ++c) {
      if (w == workers && c >= f.channels) break;
      const size_t channel = size_t(c % f.channels);
      out.dy[channel] += partial[w * 2 * f.width + c];
      out.dot[channel] += partial[w * 2 * f.width + f.width + c];
    }
  }
  return out;
}

void apply(const Folded& f, const float* x, const Repeated& numbers, float* y) {
  for_rows(f, [&](int64_t at, int64_t rows, int64_t columns) {
    norm_kernels().apply(x + at, rows, columns, numbers.row(0), numbers.row(1), numbers.row(2),
                         y + at);
  });
}

void apply_backward(const Folded& f, const float* x, const float* dy, const Repeated& numbers,
                    float* dx) {
  for_rows(f, [&](int64_t at, int64_t rows, int64_t columns) {
    norm_kernels().apply_backward(x + at, dy + at, rows, columns, numbers.row(0), numbers.row(1),
                                  numbers.row(2), numbers.row(3), dx + at);
  });
}

bool batch_norm_backward(const Tensor& x, const Tensor& weight, const float* mean,
                         const float* rstd, const Tensor& dy, bool through, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  const Folded f(x.size(0), x.size(1));
  const float *src = x.data<float>(), *grad = dy.data<float>(), *w = values(weight);
  const Repeated numbers(f, 4);
  numbers.fill(0, [&](int64_t c) { return mean[c]; });
  numbers.fill(1, [&](int64_t c) { return rstd[c] * (w ? w[c] : 1.0f); });
  Sums s;
  if (through || dweight.defined() || dbias.defined()) s = sums(f, src, grad, numbers.row(0));
  if (through) {
    const double n = double(x.size(0));
    numbers.fill(2, [&](int64_t c) {
      return -double(numbers.row(1)[c]) * rstd[c] * rstd[c] * s.dot[size_t(c)] / n;
    });
    numbers.fill(3, [&](int64_t c) { return -double(numbers.row(1)[c]) * s.dy[size_t(c)] / n; });
  } else {
    numbers.fill(2, [](int64_t) { return 0; });
    numbers.fill(3, [](int64_t) { return 0; });
  }
  apply_backward(f, src, grad, numbers, dx.data<float>());
  for (int64_t c = 0; c < f.channels; ++c) {
    if (dweight.defined()) dweight.data<float>()[c] = float(s.dot[size_t(c)] * rstd[c]);
    if (dbias.defined()) dbias.data<float>()[c] = float(s.dy[size_t(c)]);
  }
  return true;
}

}  // namespace

bool batch_norm_train(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Tensor& running_mean, const Tensor& running_var, double momentum,
                      double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  if (x.dtype() != DType::kF32) return false;
  const Folded f(x.size(0), x.size(1));
  const float *src = x.data<float>(), *w = values(weight), *b = values(bias);
  const Moments m = moments(f, src);
  const double n = double(x.size(0));
  const auto move = [&](const Tensor& running, int64_t c, double batch) {
    float& r = running.data<float>()[c];
    r = float((1 - momentum) * r + momentum * batch);
  };
  float* const scale = rstd.data<float>();
  for (int64_t c = 0; c < f.channels; ++c) {
    const double centre = m.mean[size_t(c)], squares = m.squares[size_t(c)];
    mean.data<float>()[c] = float(centre);
    scale[c] = float(1 / std::sqrt(squares / n + epsilon));
    if (running_mean.defined()) move(running_mean, c, centre);
    if (running_var.defined()) move(running_var, c, squares / (n - 1));
  }
  const Repeated numbers(f, 3);
  numbers.fill(0, [&](int64_t c) { return m.mean[size_t(c)]; });
  numbers.fill(1, [&](int64_t c) { return scale[c] * (w ? w[c] : 1.0f); });
  numbers.fill(2, [&](int64_t c) { return b ? b[c] : 0.0f; });
  apply(f, src, numbers, y.data<float>());
  return true;
}

bool batch_norm_train_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                               const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                               const Tensor& dweight, const Tensor& dbias) {
  if (x.dtype() != DType::kF32) return false;
  return batch_norm_backward(x, weight, mean.data<float>(), rstd.data<float>(), dy, true, dx,
                             dweight, dbias);
}

bool batch_norm_eval(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                     const Tensor& variance, double epsilon, const Tensor& y) {
  if (x.dtype() != DType::kF32) return false;
  const Folded f(x.size(0), x.size(1));
  const float *w = values(weight), *b = values(bias), *var = variance.data<float>();
  const Repeated numbers(f, 3);
  numbers.fill(0, [&](int64_t c) { return mean.data<float>()[c]; });
  numbers.fill(1, [&](int64_t c) { return (w ? w[c] : 1.0f) / std::sqrt(var[c] + epsilon); });
  numbers.fill(2, [&](int64_t c) { return b ? b[c] : 0.0f; });
  apply(f, x.data<float>(), numbers, y.data<float>());
  return true;
}

bool batch_norm_eval_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                              const Tensor& variance, double epsilon, const Tensor& dy,
                              const Tensor& dx, const Tensor& dweight, const Tensor& dbias) {
  if (x.dtype() != DType::kF32) return false;
  std::vector<float> rstd(variance.data<float>(), variance.data<float>() + variance.numel());
  for (float& v : rstd) v = float(1 / std::sqrt(v + epsilon));
  return batch_norm_backward(x, weight, mean.data<float>(), rstd.data(), dy, false, dx, dweight,
                             dbias);
}

bool layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon,
                const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  if (x.dtype() != DType::kF32) return false;
  const int64_t columns = x.size(1);
  const float *src = x.data<float>(), *w = values(weight), *b = values(bias);
  float *dst = y.data<float>(), *means = mean.data<float>(), *scales = rstd.data<float>();
  parallel_for(x.size(0), kGrain / columns, [&](int64_t begin, int64_t end) {
    norm_kernels().rows(src + begin * columns, end - begin, columns, w, b, epsilon,
                        dst + begin * columns, means + begin, scales + begin);
  });
  return true;
}

bool layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  if (x.dtype() != DType::kF32) return false;
  const int64_t rows = x.size(0), columns = x.size(1);
  const int workers = workers_for(rows, kGrain / columns);
  const Tensor partial = Tensor::zeros({workers, 2, columns}, DType::kF64);
  const Tensor room = Tensor::empty({workers, 2, columns});
  double* const totals = partial.data<double>();
  float* const rooms = room.data<float>();
  const float *src = x.data<float>(), *grad = dy.data<float>(), *w = values(weight);
  const float *means = mean.data<float>(), *scales = rstd.data<float>();
  float* const dst = dx.data<float>();
  for_workers(workers, rows, [&](int worker, int64_t begin, int64_t end) {
    double* const weights = totals + worker * 2 * columns;
    norm_kernels().rows_backward(src + begin * columns, grad + begin * columns, end - begin,
                                 columns, w, means + begin, scales + begin, dst + begin * columns,
                                 weights, weights + columns, rooms + worker * 2 * columns);
  });
  for (int64_t c = 0; c < columns; ++c) {
    double weight_sum = 0, bias_sum = 0;
    for (int worker = 0; worker < workers; ++worker) {
      weight_sum += totals[worker * 2 * columns + c];
      bias_sum += totals[(worker * 2 + 1) * columns + c];
    }
    if (dweight.defined()) dweight.data<float>()[c] = float(weight_sum);
    if (dbias.defined()) dbias.data<float>()[c] = float(bias_sum);
  }
  return true;
}

bool group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  if (x.dtype() != DType::kF32) return false;
  const int64_t pixels = x.size(1), channels = x.size(2), size = channels / groups;
  const Folded f(pixels, channels);
  const float *w = values(weight), *b = values(bias);
  const Repeated numbers(f, 3);
  numbers.fill(2, [&](int64_t c) { return b ? b[c] : 0.0f; });
  for (int64_t i = 0; i < x.size(0); ++i) {
    const float* src = x.data<float>() + i * pixels * channels;
    const Moments m = moments(f, src);
    float *means = mean.data<float>() + i * groups, *scales = rstd.data<float>() + i * groups;
    for (int64_t g = 0; g < groups; ++g) {
      double centre = 0, squares = 0;
      for (int64_t c = 0; c < size; ++c) {
        join(centre, squares, double(c * pixels), double(pixels), m.mean[size_t(g * size + c)],
             m.squares[size_t(g * size + c)]);
      }
      means[g] = float(centre);
      scales[g] = float(1 / std::sqrt(squares / double(size * pixels) + epsilon));
    }
    numbers.fill(0, [&](int64_t c) { return means[c / size]; });
    numbers.fill(1, [&](int64_t c) { return scales[c / size] * (w ? w[c] : 1.0f); });
    apply(f, src, numbers, y.data<float>() + i * pixels * channels);
  }
  return true;
}

bool group_norm_backward(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  if (x.dtype() != DType::kF32) return false;
  const int64_t pixels = x.size(1), channels = x.size(2), size = channels / groups;
  const Folded f(pixels, channels);
  const float* w = values(weight);
  const Repeated numbers(f, 4);
  const double n = double(size * pixels);
  std::vector<double> weights(size_t(channels), 0), biases = weights;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const int64_t at = i * pixels * channels;
    const float *src = x.data<float>() + at, *grad = dy.data<float>() + at;
    const float *means = mean.data<float>() + i * groups, *scales = rstd.data<float>() + i * groups;
    numbers.fill(0, [&](int64_t c) { return means[c / size]; });
    numbers.fill(1, [&](int64_t c) { return scales[c / size] * (w ? w[c] : 1.0f); });
    const Sums s = sums(f, src, grad, numbers.row(0));
    std::vector<double> slope(size_t(groups), 0), shift = slope;
    for (int64_t c = 0; c < channels; ++c) {
      const double scale = scales[c / size], weighted = scale * (w ? w[c] : 1.0f);
      slope[size_t(c / size)] -= weighted * scale * scale * s.dot[size_t(c)] / n;
      shift[size_t(c / size)] -= weighted * s.dy[size_t(c)] / n;
      weights[size_t(c)] += s.dot[size_t(c)] * scale;
      biases[size_t(c)] += s.dy[size_t(c)];
    }
    numbers.fill(2, [&](int64_t c) { return slope[size_t(c / size)]; });
    numbers.fill(3, [&](int64_t c) { return shift[size_t(c / size)]; });
    apply_backward(f, src, grad, numbers, dx.data<float>() + at);
  }
  for (int64_t c = 0; c < channels; ++c) {
    if (dweight.defined()) dweight.data<float>()[c] = float(weights[size_t(c)]);
    if (dbias.defined()) dbias.data<float>()[c] = float(biases[size_t(c)]);
  }
  return true;
}

}  // namespace kintsugi::cpu
