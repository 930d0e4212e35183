// oneDNN alone, as its own examples use it: the yardstick beside our convolutions.
#pragma once

#include <memory>

#include "kintsugi/engine/ops/conv.h"

namespace kintsugi::bench {

// One convolution over channels-last activations. Everything that a framework could prepare is
// prepared: primitives, memory, scratch, and weights in the order that oneDNN asks for.
class OnednnConv {
 public:
  static bool built_in();
  // x and dy channels last, weight row major; they must outlive this.
  OnednnConv(const Tensor& x, const Tensor& weight, const Tensor& dy,
             const ops::Conv2dParams& params, int threads);
  ~OnednnConv();

  void forward();
  void backward_input();
  void backward_weight();

  const Tensor& y() const;
  const Tensor& dx() const;
  Tensor dweight() const;  // brought to row-major order, outside of what is timed

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kintsugi::bench
