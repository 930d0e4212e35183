#include "kintsugi/engine/ops/loss.h"

#include "kintsugi/engine/cpu/loss.h"
#include "kintsugi/engine/cuda/loss.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ref/loss.h"

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
  if (hard && targets.device() == kCpu) {
    const auto labels = targets.to_vector<int64_t>();
    for (int64_t i = 0; i < n; ++i) {
      if (labels[size_t(i)] < 0 || labels[size_t(i)] >= k)
        fail(ErrorKind::kShape, "cross_entropy: label ", labels[size_t(i)], " at ", i,
             ", expected 0 to ", k - 1);
    }
  }
  CrossEntropy out{Tensor::empty({}, logits.dtype(), logits.device()),
                   Tensor::empty({n, k}, logits.dtype(), logits.device())};
  const Tensor x = logits.contiguous(), t = targets.contiguous();
  detail::dispatch({"cross_entropy", {&logits, &targets}, {&out.loss, &out.probabilities}},
                   KINTSUGI_BACKENDS(cross_entropy(x, t, smoothing, out.loss, out.probabilities)));
  return out;
}

Tensor cross_entropy_backward(const CrossEntropy& forward, const Tensor& targets, double smoothing,
                              const Tensor& dloss) {
  constexpr const char* kOp = "cross_entropy_backward";
  const Tensor q = forward.probabilities.contiguous(), t = targets.contiguous();
  if (dloss.numel() != 1) {
    fail(ErrorKind::kShape, kOp, ": dloss has shape ", dloss.shape(), ", expected one element");
  }
  detail::require_same_dtype(kOp, q, dloss);
  Tensor out = Tensor::empty(q.shape(), q.dtype(), q.device());
  detail::dispatch({kOp, {&forward.probabilities, &targets, &dloss}, {&out}},
                   KINTSUGI_BACKENDS(cross_entropy_backward(q, t, smoothing, dloss, out)));
  return out;
}

}  // namespace kintsugi::ops
