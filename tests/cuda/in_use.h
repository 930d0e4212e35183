// Memory as the product has it, cached and not managed, for a test's scope.
#pragma once

#include "kintsugi/engine/cuda/allocator.h"

namespace kintsugi::test {

class AsInUse {
 public:
  AsInUse() : saved_(cuda::allocator_options()) { cuda::allocator_options() = {.poison = true}; }
  ~AsInUse() { cuda::allocator_options() = saved_; }
  AsInUse(const AsInUse&) = delete;
  AsInUse& operator=(const AsInUse&) = delete;

 private:
  cuda::AllocatorOptions saved_;
};

}  // namespace kintsugi::test
