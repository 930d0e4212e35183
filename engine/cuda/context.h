// The device that this thread works on and its streams. Never installed.
#pragma once

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/engine/cuda/runtime.h"

namespace kintsugi::cuda {

// The stream that operators on the current device are queued on: the device's one compute stream,
// or what a ScopedStream says.
Stream current_stream();
int current_device();
void use_device(int index);  // checked by require_device the first time

class ScopedStream {
 public:
  explicit ScopedStream(Stream stream);
  ~ScopedStream();
  ScopedStream(const ScopedStream&) = delete;
  ScopedStream& operator=(const ScopedStream&) = delete;

 private:
  Stream saved_;
};

// What products of such operands multiply: bf16 as it is; f32 rounded to TF32 unless Context::math
// asks for f32.
Math math_of(DType operands);

// Element type T of a tensor on the device, for kernels' arguments; nullptr where x is undefined.
template <class T>
T* pointer(const Tensor& x) {
  return x.defined() ? static_cast<T*>(x.address()) : nullptr;
}

// x, dense and on the host, moved to the current device through pinned memory on a stream of its own:
// what is queued next on the compute stream waits for it, what was queued before goes on meanwhile.
// x may change as soon as the call returns.
Tensor upload(const Tensor& x);

// Copies and fills behind Tensor's methods: any strides, dtypes and devices (of one index).
void copy(const Tensor& dst, const Tensor& src);
void fill(const Tensor& dst, double value);

}  // namespace kintsugi::cuda
