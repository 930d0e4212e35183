#include "kintsugi/engine/ops/attention.h"

#include "kintsugi/engine/cpu/attention.h"
#include "kintsugi/engine/cuda/attention.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ref/attention.h"

namespace kintsugi::ops {

namespace {

struct Extents {
  int64_t batch, heads, n, m, d, e;
  Shape scores() const { return {batch, heads, n, m}; }
  int64_t macs() const { return batch * heads * n * m * (d + e); }
};

Extents check(const char* op, const Tensor& q, const Tensor& k, const Tensor& v,
              const Tensor& bias) {
  detail::require_floating(op, q);
  detail::require_same_dtype(op, q, k);
  detail::require_same_dtype(op, q, v);
  detail::require_rank(op, q, 4, "q (B,H,N,D)");
  detail::require_rank(op, k, 4, "k (B,H,M,D)");
  detail::require_rank(op, v, 4, "v (B,H,M,E)");
  const Extents x{q.size(0), q.size(1), q.size(2), k.size(2), q.size(3), v.size(3)};
  detail::require_shape(op, "k", k, {x.batch, x.heads, x.m, x.d});
  detail::require_shape(op, "v", v, {x.batch, x.heads, x.m, x.e});
  if (x.m == 0) fail(ErrorKind::kShape, op, ": got k of shape ", k.shape(), ", no keys");
  if (!bias.defined()) return x;
  detail::require_parameter(op, q, bias);
  if (bias.rank() > 4 || broadcast_shapes(op, bias.shape(), x.scores()) != x.scores()) {
    fail(ErrorKind::kShape, op, ": bias has shape ", bias.shape(),
         ", expected one that broadcasts to ", x.scores());
  }
  return x;
}

Tensor unit_last(const Tensor& x) {
  return x.size(-1) <= 1 || x.strides()[-1] == 1 ? x : x.contiguous();
}

// (B,H,N,D) in memory (B,N,H,D).
Tensor empty_heads(const Tensor& q, int64_t n, int64_t d) {
  return Tensor::empty({q.size(0), n, q.size(1), d}, q.dtype(), q.device()).transpose(1, 2);
}

Tensor expanded(const Tensor& bias, const Shape& scores) {
  if (!bias.defined()) return bias;
  return (bias.rank() == 0 ? bias : unit_last(bias)).expand(scores);
}

}  // namespace

Attention attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                    double scale) {
  constexpr const char* kOp = "attention";
  const Extents x = check(kOp, q, k, v, bias);
  Attention out;
  out.output = empty_heads(q, x.n, x.e);
  out.logsumexp =
      Tensor::empty({x.batch, x.heads, x.n}, parameter_dtype(q.dtype()), q.device());
  const Tensor queries = unit_last(q), keys = unit_last(k), values = unit_last(v);
  const Tensor full_bias = expanded(bias, x.scores());
  detail::dispatch({kOp, {&q, &k, &v, &bias}, {&out.output, &out.logsumexp}, x.macs()},
                   KINTSUGI_BACKENDS(attention(queries, keys, values, full_bias, scale, out.output,
                                              out.logsumexp)));
  return out;
}

AttentionGrads attention_backward(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& bias, double scale, const Attention& forward,
                                  const Tensor& dy, bool want_dbias) {
  constexpr const char* kOp = "attention_backward";
  const Extents x = check(kOp, q, k, v, bias);
  detail::require_same_dtype(kOp, q, dy);
  const Shape output{x.batch, x.heads, x.n, x.e};
  detail::require_shape(kOp, "dy", dy, output);
  detail::require_shape(kOp, "output", forward.output, output);
  detail::require_shape(kOp, "logsumexp", forward.logsumexp, {x.batch, x.heads, x.n});
  AttentionGrads out;
  out.dq = empty_heads(q, x.n, x.d);
  out.dk = empty_heads(q, x.m, x.d);
  out.dv = empty_heads(q, x.m, x.e);
  if (bias.defined() && want_dbias) {
    out.dbias = Tensor::zeros(bias.shape(), bias.dtype(), q.device());
  }
  const Tensor queries = unit_last(q), keys = unit_last(k), values = unit_last(v);
  const Tensor grad = unit_last(dy), y = unit_last(forward.output);
  const Tensor lse = forward.logsumexp.contiguous();
  const Tensor full_bias = expanded(bias, x.scores()), full_dbias = expanded(out.dbias, x.scores());
  detail::dispatch(
      {kOp, {&q, &k, &v, &bias, &dy}, {&out.dq, &out.dk, &out.dv, &out.dbias}, 5 * x.macs() / 2},
      KINTSUGI_BACKENDS(attention_backward(queries, keys, values, full_bias, scale, y, lse, grad,
                                          out.dq, out.dk, out.dv, full_dbias)));
  return out;
}

}  // namespace kintsugi::ops
