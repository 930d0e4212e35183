#include "kintsugi/engine/ops/loss.h"

#include <cmath>

#include "kintsugi/engine/ops/dispatch.h"

namespace kintsugi::ops {

CrossEntropy cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing) {
  detail::require_rank("cross_entropy", logits, 2, "logits (N,K)");
  detail::require_floating("cross_entropy", logits);
  const int64_t n = logits.size(0), k = logits.size(1);
  if (n == 0 || k == 0)
    fail(ErrorKind::kShape, "cross_entropy: got logits ", logits.shape(),
         ", expected at least one row and class");
  const bool hard = targets.dtype() == DType::kI64;
  detail::require_shape("cross_entropy", "targets", targets, hard ? Shape{n} : Shape{n, k});
  if (!hard) {
    detail::require_same_dtype("cross_entropy", logits, targets);
    if (smoothing != 0) fail(ErrorKind::kUsage, "cross_entropy: soft targets take no smoothing");
  }
  if (smoothing < 0 || smoothing >= 1)
    fail(ErrorKind::kUsage, "cross_entropy: got smoothing ", smoothing, ", expected 0 to 1");
  if (hard && !targets.is_meta()) {
    const auto labels = targets.to_vector<int64_t>();
    for (int64_t i = 0; i < n; ++i) {
      if (labels[size_t(i)] < 0 || labels[size_t(i)] >= k)
        fail(ErrorKind::kShape, "cross_entropy: label ", labels[size_t(i)], " at ", i,
             ", expected 0 to ", k - 1);
    }
  }
  CrossEntropy out{Tensor::empty({}, logits.dtype(), logits.device()),
                   Tensor::empty({n, k}, logits.dtype(), logits.device())};
  detail::dispatch({"cross_entropy", {&logits, &targets}, {&out.loss, &out.probabilities}}, [&] {
    const Tensor x = logits.contiguous(), t = targets.contiguous();
    visit_floating("cross_entropy", logits.dtype(), [&](auto z) {
      using T = decltype(z);
      const T* p = x.data<T>();
      T* q = out.probabilities.data<T>();
      double total = 0;
      for (int64_t i = 0; i < n; ++i) {
        const T* row = p + i * k;
        double top = -INFINITY, sum = 0;
        for (int64_t c = 0; c < k; ++c) top = std::max(top, double(row[c]));
        for (int64_t c = 0; c < k; ++c) sum += std::exp(double(row[c]) - top);
        const double lse = top + std::log(sum);
        double loss = 0;
        for (int64_t c = 0; c < k; ++c) {
          const double logp = double(row[c]) - lse;
          q[i * k + c] = T(std::exp(logp));
          const double weight =
              hard ? (t.data<int64_t>()[i] == c ? 1 - smoothing : 0) + smoothing / double(k)
                   : double(t.data<T>()[i * k + c]);
          if (weight != 0) loss -= weight * logp;
        }
        total += loss;
      }
      *out.loss.data<T>() = T(total / double(n));
    });
  });
  return out;
}

Tensor cross_entropy_backward(const CrossEntropy& forward, const Tensor& targets, double smoothing,
                              const Tensor& dloss) {
  const Tensor& q = forward.probabilities;
  const int64_t n = q.size(0), k = q.size(1);
  Tensor out = Tensor::empty_like(q);
  detail::dispatch({"cross_entropy_backward", {&q, &targets, &dloss}, {&out}}, [&] {
    const bool hard = targets.dtype() == DType::kI64;
    const Tensor t = targets.contiguous();
    visit_floating("cross_entropy", q.dtype(), [&](auto z) {
      using T = decltype(z);
      const T* p = q.data<T>();
      T* o = out.data<T>();
      const double scale = dloss.item() / double(n);
      for (int64_t i = 0; i < n; ++i) {
        double mass = 1;
        if (!hard) {
          mass = 0;
          for (int64_t c = 0; c < k; ++c) mass += double(t.data<T>()[i * k + c]);
        }
        for (int64_t c = 0; c < k; ++c) {
          const double weight =
              hard ? (t.data<int64_t>()[i] == c ? 1 - smoothing : 0) + smoothing / double(k)
                   : double(t.data<T>()[i * k + c]);
          o[i * k + c] = T(scale * (mass * double(p[i * k + c]) - weight));
        }
      }
    });
  });
  return out;
}

}  // namespace kintsugi::ops
