#include "kintsugi/engine/ref/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kintsugi::ref {

namespace {

// What row i of the targets gives to class c.
template <class T>
struct Weights {
  const int64_t* labels;
  const T* soft;
  double smoothing;
  int64_t classes;

  Weights(const Tensor& targets, double smoothing, int64_t classes)
      : labels(targets.dtype() == DType::kI64 ? targets.data<int64_t>() : nullptr),
        soft(labels ? nullptr : targets.data<T>()),
        smoothing(smoothing),
        classes(classes) {}
  double operator()(int64_t i, int64_t c) const {
    if (soft) return double(soft[i * classes + c]);
    return (labels[i] == c ? 1 - smoothing : 0) + smoothing / double(classes);
  }
};

}  // namespace

void cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing,
                   const Tensor& loss, const Tensor& probabilities) {
  const int64_t n = logits.size(0), k = logits.size(1);
  visit_floating("cross_entropy", logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Weights<T> weights(targets, smoothing, k);
    const T* p = logits.data<T>();
    T* q = probabilities.data<T>();
    double total = 0;
    for (int64_t i = 0; i < n; ++i) {
      const T* row = p + i * k;
      double top = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int64_t c = 0; c < k; ++c) top = std::max(top, double(row[c]));
      for (int64_t c = 0; c < k; ++c) sum += std::exp(double(row[c]) - top);
      const double lse = top + std::log(sum);
      double one = 0;
      for (int64_t c = 0; c < k; ++c) {
        const double logp = double(row[c]) - lse, weight = weights(i, c);
        q[i * k + c] = T(std::exp(logp));
        if (weight != 0) one -= weight * logp;
      }
      total += one;
    }
    *loss.data<T>() = T(total / double(n));
  });
}

void cross_entropy_backward(const Tensor& probabilities, const Tensor& targets, double smoothing,
                            const Tensor& dloss, const Tensor& dlogits) {
  const int64_t n = probabilities.size(0), k = probabilities.size(1);
  visit_floating("cross_entropy", probabilities.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Weights<T> weights(targets, smoothing, k);
    const T* q = probabilities.data<T>();
    T* out = dlogits.data<T>();
    const double scale = dloss.item() / double(n);
    for (int64_t i = 0; i < n; ++i) {
      double mass = weights.soft ? 0 : 1;
      for (int64_t c = 0; weights.soft && c < k; ++c) mass += weights(i, c);
      for (int64_t c = 0; c < k; ++c) {
        out[i * k + c] = T(scale * (mass * double(q[i * k + c]) - weights(i, c)));
      }
    }
  });
}

}  // namespace kintsugi::ref
