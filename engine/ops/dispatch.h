// The one place through which every operator call passes: it is recorded, timed and sent to a
// backend here. Internal to engine/ops; not installed.
#pragma once

#include <chrono>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/engine/program/recorder.h"

namespace kintsugi::detail {

// `fast` is the CPU backend's kernel: it returns false where it declines (an f64, an odd layout).
// `reference` takes everything that the contract allows. Shape-only tensors run neither. A fallback
// is counted for f32 only: f64 has no other kernel.
template <class Fast, class Reference>
void dispatch(const OpCall& call, Fast&& fast, Reference&& reference) {
  Context& context = Context::current();
  if (context.recorder) context.recorder->record(call);
  const Tensor& first = **call.outputs.begin();
  if (first.is_meta()) return;
  for (const Tensor* x : call.inputs) {
    if (x->defined() && x->device() != first.device()) {
      fail(ErrorKind::kDevice, call.op, ": got tensors on ", x->device(), " and ", first.device());
    }
  }
  const auto run = [&] {
    if (!context.reference_only && fast()) return;
    if (!context.reference_only && first.dtype() != DType::kF64) ++context.fallbacks[call.op];
    reference();
  };
  if (!context.profiler) return run();
  const auto start = std::chrono::steady_clock::now();
  run();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  context.profiler->add(call, seconds.count());
}

// A call that only makes views, or whose work is a plain copy: recorded and timed, no backend choice.
template <class Work>
void dispatch(const OpCall& call, Work&& work) {
  dispatch(call, [&] { work(); return true; }, work);
}

inline void require_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype()) {
    fail(ErrorKind::kDtype, op, ": got ", name_of(a.dtype()), " and ", name_of(b.dtype()),
         ", expected one dtype");
  }
}

inline void require_floating(const char* op, const Tensor& x) {
  if (x.dtype() != DType::kF32 && x.dtype() != DType::kF64) {
    fail(ErrorKind::kDtype, op, ": got ", name_of(x.dtype()), ", expected f32 or f64");
  }
}

inline void require_rank(const char* op, const Tensor& x, int rank, const char* layout) {
  if (x.rank() != rank) {
    fail(ErrorKind::kShape, op, ": got shape ", x.shape(), ", expected ", layout);
  }
}

inline void require_shape(const char* op, const char* what, const Tensor& x, const Shape& shape) {
  if (x.shape() != shape) {
    fail(ErrorKind::kShape, op, ": ", what, " has shape ", x.shape(), ", expected ", shape);
  }
}

}  // namespace kintsugi::detail
