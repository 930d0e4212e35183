// Random numbers in work that is replayed: they are the host's, so a replay draws them anew before
// each run, into the tensor that the captured kernels read.
#pragma once

#include <vector>

#include "kintsugi/engine/core/random.h"
#include "kintsugi/engine/core/tensor.h"

namespace kintsugi {

// 1 with probability p, else 0, from the context's generator; the same bits on every device, and
// whether the call is replayed or not. f32 or f64.
Tensor bernoulli(const Shape& shape, double p, DType dtype, Device device);

// What a work drew, in its order.
class Draws {
 public:
  // Nothing is drawn between the two: calls get parts of one tensor. The calls before, from
  // construction on, say how large that is.
  void begin_capture(Device device);
  void end_capture();

  // New numbers from the context's generator, which moves on as the work moved it.
  void renew();

 private:
  friend Tensor bernoulli(const Shape& shape, double p, DType dtype, Device device);
  Tensor next(const Shape& shape, double p, DType dtype);

  struct Draw {
    int64_t at, count;
    double p;
    uint64_t stream;  // after the generator's first
  };
  std::vector<Draw> draws_;
  size_t taken_ = 0;
  uint64_t first_ = 0, streams_ = 0;
  Tensor here_, there_;  // the host's and the device's; defined from begin_capture on
};

}  // namespace kintsugi
