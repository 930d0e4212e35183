#include "kintsugi/engine/ref/norm.h"

#include <cmath>
#include <vector>

namespace kintsugi::ref {

namespace {

template <class T>
const T* values(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

// The elements that share a mean: `rows` rows of `columns`, `stride` apart.
template <class T>
struct Patch {
  const T* data;
  int64_t rows, columns, stride;
  int64_t size() const { return rows * columns; }
};

struct Moments {
  double mean, variance;
};

template <class T>
Moments moments(const Patch<T>& x) {
  double sum = 0, squares = 0;
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) sum += x.data[r * x.stride + c];
  }
  const double mean = sum / double(x.size());
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) {
      const double d = x.data[r * x.stride + c] - mean;
      squares += d * d;
    }
  }
  return {mean, squares / double(x.size())};
}

// weight and bias (or null) begin at the patch's first column.
template <class T>
void normalise(const Patch<T>& x, double mean, double rstd, const T* weight, const T* bias, T* y) {
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) {
      const int64_t i = r * x.stride + c;
      y[i] = T((x.data[i] - mean) * rstd * (weight ? weight[c] : T(1)) + (bias ? bias[c] : T(0)));
    }
  }
}

// dx, and the patch's part of dweight and dbias (per column, added). `through`: the mean and rstd
// are the patch's own, so that the gradient flows through them too.
template <class T>
void normalise_backward(const Patch<T>& x, double mean, double rstd, const T* weight, const T* dy,
                        bool through, T* dx, double* dweight, double* dbias) {
  double mean_g = 0, mean_gx = 0;  // of g = dy * weight and g * xhat
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) {
      const int64_t i = r * x.stride + c;
      const double xhat = (x.data[i] - mean) * rstd;
      dbias[c] += dy[i];
      dweight[c] += dy[i] * xhat;
      const double g = dy[i] * double(weight ? weight[c] : T(1));
      mean_g += g / double(x.size());
      mean_gx += g * xhat / double(x.size());
    }
  }
  if (!through) mean_g = mean_gx = 0;
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) {
      const int64_t i = r * x.stride + c;
      const double xhat = (x.data[i] - mean) * rstd;
      dx[i] = T(rstd * (dy[i] * double(weight ? weight[c] : T(1)) - mean_g - xhat * mean_gx));
    }
  }
}

template <class T>
void write(const std::vector<double>& sums, const Tensor& out) {
  if (out.defined()) std::copy(sums.begin(), sums.end(), out.data<T>());
}

template <class T>
Patch<T> channel(const Tensor& x, int64_t c) {
  return {x.data<T>() + c, x.size(0), 1, x.size(1)};
}

void batch_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, bool through, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  visit_floating("batch_norm_backward", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<double> weights(size_t(x.size(1)), 0), biases = weights;
    for (int64_t c = 0; c < x.size(1); ++c) {
      const T* w = values<T>(weight);
      normalise_backward(channel<T>(x, c), mean.data<T>()[c], rstd.data<T>()[c], w ? w + c : w,
                         dy.data<T>() + c, through, dx.data<T>() + c, &weights[size_t(c)],
                         &biases[size_t(c)]);
    }
    write<T>(weights, dweight);
    write<T>(biases, dbias);
  });
}

Tensor rstd_of(const Tensor& variance, double epsilon) {
  Tensor rstd = Tensor::empty(variance.shape(), variance.dtype());
  visit_floating("batch_norm_eval", variance.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t c = 0; c < variance.numel(); ++c) {
      rstd.data<T>()[c] = T(1 / std::sqrt(variance.data<T>()[c] + epsilon));
    }
  });
  return rstd;
}

}  // namespace

void batch_norm_train(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Tensor& running_mean, const Tensor& running_var, double momentum,
                      double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  visit_floating("batch_norm_train", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const double n = double(x.size(0));
    const auto move = [&](const Tensor& running, int64_t c, double batch) {
      T& r = running.data<T>()[c];
      r = T((1 - momentum) * r + momentum * batch);
    };
    for (int64_t c = 0; c < x.size(1); ++c) {
      const Patch<T> patch = channel<T>(x, c);
      const Moments m = moments(patch);
      mean.data<T>()[c] = T(m.mean);
      rstd.data<T>()[c] = T(1 / std::sqrt(m.variance + epsilon));
      if (running_mean.defined()) move(running_mean, c, m.mean);
      if (running_var.defined()) move(running_var, c, m.variance * n / (n - 1));
      const T *w = values<T>(weight), *b = values<T>(bias);
      normalise(patch, m.mean, 1 / std::sqrt(m.variance + epsilon), w ? w + c : w, b ? b + c : b,
                y.data<T>() + c);
    }
  });
}

void batch_norm_train_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                               const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                               const Tensor& dweight, const Tensor& dbias) {
  batch_norm_backward(x, weight, mean, rstd, dy, true, dx, dweight, dbias);
}

void batch_norm_eval(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                     const Tensor& variance, double epsilon, const Tensor& y) {
  visit_floating("batch_norm_eval", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t c = 0; c < x.size(1); ++c) {
      const T *w = values<T>(weight), *b = values<T>(bias);
      normalise(channel<T>(x, c), mean.data<T>()[c], 1 / std::sqrt(variance.data<T>()[c] + epsilon),
                w ? w + c : w, b ? b + c : b, y.data<T>() + c);
    }
  });
}

void batch_norm_eval_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                              const Tensor& variance, double epsilon, const Tensor& dy,
                              const Tensor& dx, const Tensor& dweight, const Tensor& dbias) {
  batch_norm_backward(x, weight, mean, rstd_of(variance, epsilon), dy, false, dx, dweight, dbias);
}

void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon,
                const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  group_norm(x.unsqueeze(1), 1, weight, bias, epsilon, y, mean, rstd);
}

void layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  group_norm_backward(x.unsqueeze(1), 1, weight, mean, rstd, dy, dx, dweight, dbias);
}

void group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  visit_floating("group_norm", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t pixels = x.size(1), channels = x.size(2), width = channels / groups;
    for (int64_t i = 0; i < x.size(0) * groups; ++i) {
      const int64_t first = i % groups * width, at = i / groups * pixels * channels + first;
      const Patch<T> patch{x.data<T>() + at, pixels, width, channels};
      const Moments m = moments(patch);
      mean.data<T>()[i] = T(m.mean);
      rstd.data<T>()[i] = T(1 / std::sqrt(m.variance + epsilon));
      const T *w = values<T>(weight), *b = values<T>(bias);
      normalise(patch, m.mean, 1 / std::sqrt(m.variance + epsilon), w ? w + first : w,
                b ? b + first : b, y.data<T>() + at);
    }
  });
}

void group_norm_backward(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  visit_floating("group_norm_backward", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const int64_t pixels = x.size(1), channels = x.size(2), width = channels / groups;
    std::vector<double> weights(size_t(channels), 0), biases = weights;
    for (int64_t i = 0; i < x.size(0) * groups; ++i) {
      const int64_t first = i % groups * width, at = i / groups * pixels * channels + first;
      const T* w = values<T>(weight);
      normalise_backward(Patch<T>{x.data<T>() + at, pixels, width, channels}, mean.data<T>()[i],
                         rstd.data<T>()[i], w ? w + first : w, dy.data<T>() + at, true,
                         dx.data<T>() + at, weights.data() + first, biases.data() + first);
    }
    write<T>(weights, dweight);
    write<T>(biases, dbias);
  });
}

}  // namespace kintsugi::ref
