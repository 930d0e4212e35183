// Device memory, cached. A block belongs to the stream that it was taken for and goes back to it in
// the order of that stream's work, so that nothing waits for the device when a tensor dies.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "kintsugi/engine/cuda/runtime.h"

namespace kintsugi::cuda {

struct AllocatorStats {
  size_t allocated = 0;  // bytes of live tensors, rounded to blocks
  size_t reserved = 0;   // bytes taken from the device: live and kept for reuse
  size_t peak = 0;       // the highest `allocated` since the last reset
};

// For tests. Poisoned blocks hold NaN; blocks that are not cached end where the tensor ends; the
// host reaches managed ones, and the reference kernels with it.
struct AllocatorOptions {
  bool cache = true;
  bool poison = false;
  bool managed = false;
};
AllocatorOptions& allocator_options();

class Pool {
 public:
  explicit Pool(int device) : device_(device) {}
  ~Pool();  // all blocks have come back
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // An Error of kind kMemory, with what was asked, what is free and what is held, where the device
  // has no room even without the blocks kept for reuse, here and in the device's own pool.
  void* take(size_t bytes, Stream stream, size_t& capacity);
  // Throws nothing: a block of a device that is lost stays where it is.
  void give_back(void* block, size_t capacity, Stream stream);
  void release();  // unused blocks go back to the device
  AllocatorStats stats();
  void reset_peak();

 private:
  void release_locked();

  const int device_;
  std::mutex mutex_;
  std::map<std::pair<Stream, size_t>, std::vector<void*>> free_;
  AllocatorStats stats_;
};

// Of this thread: the device's own, or what a ScopedPool says.
std::shared_ptr<Pool> current_pool(int device);

class ScopedPool {
 public:
  explicit ScopedPool(std::shared_ptr<Pool> pool);
  ~ScopedPool();
  ScopedPool(const ScopedPool&) = delete;
  ScopedPool& operator=(const ScopedPool&) = delete;

 private:
  std::shared_ptr<Pool> saved_;
};

}  // namespace kintsugi::cuda
