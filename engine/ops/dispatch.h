// The one place through which every operator call passes: it is recorded, timed and sent to a
// backend here. Internal to engine/ops; not installed.
#pragma once

#include <chrono>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/engine/cuda/allocator.h"
#include "kintsugi/engine/cuda/context.h"
#include "kintsugi/engine/program/recorder.h"

namespace kintsugi::detail {

// A kernel by its name in all three backends: `cpu` and `cuda` return false where they decline (a
// dtype, an odd layout), `ref` takes everything that the contract allows. The middle one is generic
// so that a build without CUDA never instantiates it.
#define KINTSUGI_BACKENDS(...)               \
  [&] { return cpu::__VA_ARGS__; },         \
      [&](auto) { return cuda::__VA_ARGS__; }, [&] { ref::__VA_ARGS__; }

inline void require_one_device(const OpCall& call, Device device) {
  for (const auto* list : {&call.inputs, &call.outputs}) {
    for (const Tensor* x : *list) {
      if (x->defined() && x->device() != device) {
        fail(ErrorKind::kDevice, call.op, ": got tensors on ", x->device(), " and ", device,
             ", expected one device");
      }
    }
  }
}

inline bool has_f64(const OpCall& call) {
  for (const auto* list : {&call.inputs, &call.outputs}) {
    for (const Tensor* x : *list) {
      if (x->defined() && x->dtype() == DType::kF64) return true;
    }
  }
  return false;
}

// Shape-only tensors run no kernel. On the CPU a declined call falls back to `reference`, counted
// for f32 only: f64 has no other kernel. On a device nothing falls back to the host, but that f64
// in managed memory, which only tests ask for, takes the reference.
template <class Cpu, class Cuda, class Reference>
void dispatch(const OpCall& call, Cpu&& cpu, [[maybe_unused]] Cuda&& on_device, Reference&& reference) {
  Context& context = Context::current();
  if (context.recorder) context.recorder->record(call);
  const Tensor& first = **call.outputs.begin();
  if (first.is_meta()) return;
  require_one_device(call, first.device());
  const auto run = [&] {
    if constexpr (cuda::kBuilt) {
      if (first.device().type == DeviceType::kCuda) {
        cuda::use_device(first.device().index);
        const bool managed = cuda::allocator_options().managed;
        if (!(managed && context.reference_only) && on_device(0)) return;
        if (!managed || (!has_f64(call) && !context.reference_only)) {
          fail(ErrorKind::kMissing, call.op, ": there is no CUDA kernel for ",
               name_of(first.dtype()), " of shape ", first.shape(), " with strides ",
               first.strides());
        }
        return reference();
      }
    }
    if (!context.reference_only && cpu()) return;
    if (!context.reference_only && !has_f64(call)) ++context.fallbacks[call.op];
    reference();
  };
  if (!context.profiler) return run();
  const auto start = std::chrono::steady_clock::now();
  run();
  if constexpr (cuda::kBuilt) {
    if (first.device().type == DeviceType::kCuda) cuda::synchronize(call.op, cuda::current_stream());
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  context.profiler->add(call, seconds.count());
}

// A call that only makes views, or whose work is plain copies and fills: no backend choice.
template <class Work>
void dispatch(const OpCall& call, Work&& work) {
  const auto done = [&] { work(); return true; };
  dispatch(call, done, [&](auto) { return done(); }, work);
}

inline void require_same_dtype(const char* op, DType a, DType b) {
  if (a == b) return;
  fail(ErrorKind::kDtype, op, ": got ", name_of(a), " and ", name_of(b), ", expected one dtype");
}
inline void require_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  require_same_dtype(op, a.dtype(), b.dtype());
}

// f32 or f64, on a device bf16 too.
inline void require_floating(const char* op, const Tensor& x) {
  if (x.dtype() == DType::kF32 || x.dtype() == DType::kF64) return;
  if (x.dtype() != DType::kBF16) {
    fail(ErrorKind::kDtype, op, ": got ", name_of(x.dtype()), ", expected f32 or f64");
  }
  if (x.device() == kCpu) {
    fail(ErrorKind::kDtype, op, ": got bf16 on the CPU, which computes in f32 or f64");
  }
}

inline void require_parameter(const char* op, const Tensor& x, const Tensor& parameter) {
  if (x.dtype() != DType::kBF16) return require_same_dtype(op, x, parameter);
  if (parameter.dtype() != DType::kF32) {
    fail(ErrorKind::kDtype, op, ": got bf16 with a parameter in ", name_of(parameter.dtype()),
         ", expected f32");
  }
}

// Of a result: what both are, or bf16 where one is and the other f32.
inline DType common_dtype(const char* op, DType a, DType b) {
  const auto mixed = [](DType x, DType y) { return x == DType::kBF16 && y == DType::kF32; };
  if (mixed(a, b) || mixed(b, a)) return DType::kBF16;
  require_same_dtype(op, a, b);
  return a;
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
