#include "kintsugi/engine/cpu/attention.h"

#include "kintsugi/engine/cpu/simd/attention.h"
#include "kintsugi/engine/cpu/workers.h"

namespace kintsugi::cpu {

namespace {

constexpr int64_t kMacsAWorker = 1 << 16;

int64_t offset(const Tensor& x, int64_t b, int64_t h) {
  return b * x.strides()[0] + h * x.strides()[1];
}

ConstRows rows(const Tensor& x, int64_t b, int64_t h) {
  return {x.data<float>() + offset(x, b, h), x.strides()[2]};
}
Rows writable(const Tensor& x, int64_t b, int64_t h) {
  return {x.data<float>() + offset(x, b, h), x.strides()[2]};
}

AttentionHead head_of(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                      double scale, int64_t b, int64_t h) {
  AttentionHead head{q.size(2),     k.size(2),     q.size(3),     v.size(3), float(scale),
                     rows(q, b, h), rows(k, b, h), rows(v, b, h), {},        1};
  if (bias.defined()) {
    head.bias = rows(bias, b, h);
    head.bias_column = bias.strides()[3];
  }
  return head;
}

bool takes(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias) {
  for (const Tensor* x : {&q, &k, &v}) {
    if (x->size(3) > 1 && x->strides()[3] != 1) return false;
  }
  const bool bias_fits =
      !bias.defined() || bias.size(3) == 1 || bias.strides()[3] == 0 || bias.strides()[3] == 1;
  return q.dtype() == DType::kF32 && bias_fits;
}

int64_t grain(const Tensor& q, const Tensor& k, const Tensor& v) {
  const int64_t macs = q.size(2) * k.size(2) * (q.size(3) + v.size(3));
  return kMacsAWorker / std::max<int64_t>(1, macs);
}

}  // namespace

bool attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
               const Tensor& y, const Tensor& logsumexp) {
  if (!takes(q, k, v, bias)) return false;
  if (y.numel() == 0) return true;
  const int64_t heads = q.size(1), n = q.size(2);
  const AttentionKernels& kernels = attention_kernels();
  const int64_t floats = kernels.room(head_of(q, k, v, bias, scale, 0, 0), false);
  const int workers = workers_for(q.size(0) * heads, grain(q, k, v));
  const Tensor room = Tensor::empty({workers, floats});
  float* const rooms = room.data<float>();
  float* const lse = logsumexp.data<float>();
  for_workers(workers, q.size(0) * heads, [&](int worker, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / heads, h = i % heads;
      kernels.forward(head_of(q, k, v, bias, scale, b, h), writable(y, b, h), lse + i * n,
                      rooms + worker * floats);
    }
  });
  return true;
}

bool attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        double scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dbias) {
  if (!takes(q, k, v, bias) || (dy.size(3) > 1 && dy.strides()[3] != 1)) return false;
  if (q.size(0) * q.size(1) == 0) return true;
  const int64_t heads = q.size(1), n = q.size(2);
  const AttentionKernels& kernels = attention_kernels();
  const int64_t floats = kernels.room(head_of(q, k, v, bias, scale, 0, 0), true);
  // Heads that share a part of dbias run one after the other in one worker.
  const bool shared_b = dbias.defined() && dbias.strides()[0] == 0;
  const bool shared_h = dbias.defined() && dbias.strides()[1] == 0;
  const int64_t outer_b = shared_b ? 1 : q.size(0), inner_b = shared_b ? q.size(0) : 1;
  const int64_t outer_h = shared_h ? 1 : heads, inner_h = shared_h ? heads : 1;
  const int workers =
      workers_for(outer_b * outer_h, grain(q, k, v) / std::max<int64_t>(1, inner_b * inner_h));
  const Tensor room = Tensor::empty({workers, floats});
  float* const rooms = room.data<float>();
  const float* const lse = logsumexp.data<float>();
  const auto one = [&](int64_t b, int64_t h, float* scratch) {
    AttentionHeadGrads grads{rows(y, b, h),
                             rows(dy, b, h),
                             lse + (b * heads + h) * n,
                             writable(dq, b, h),
                             writable(dk, b, h),
                             writable(dv, b, h),
                             {}};
    if (dbias.defined()) grads.dbias = writable(dbias, b, h);
    kernels.backward(head_of(q, k, v, bias, scale, b, h), grads, scratch);
  };
  for_workers(workers, outer_b * outer_h, [&](int worker, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < inner_b * inner_h; ++j) {
        one(i / outer_h + j / inner_h, i % outer_h + j % inner_h, rooms + worker * floats);
      }
    }
  });
  return true;
}

}  // namespace kintsugi::cpu
