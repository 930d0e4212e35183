// Shared storage. Freed blocks go back to a pool and are reused, so a training loop allocates from
// the system in its first step only. What is kept for reuse is bounded by what was ever in use.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kintsugi/engine/core/device.h"

namespace kintsugi {

struct MemoryStats;
namespace cuda {
class Pool;
}

class Buffer {
 public:
  // Uninitialised, 64-byte aligned; an Error of kind kMemory where the system or the device has no
  // room, of kind kDevice where there is no such device. A meta buffer has a size and no bytes.
  Buffer(size_t bytes, Device device);
  // Borrowed memory, kept alive by `owner` (a mapped file, say); never written by the engine.
  Buffer(void* data, size_t bytes, std::shared_ptr<const void> owner);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  // Whether the host may follow data(): memory of its own, or managed memory of a device.
  bool host_accessible() const { return host_accessible_; }

  // Counts in-place writes, so that backward can refuse a saved value that was overwritten.
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  size_t capacity_ = 0;  // of the pool's block; 0 where the buffer owns none
  Device device_;
  bool host_accessible_ = true;
  void* stream_ = nullptr;             // of a block on a device
  std::shared_ptr<cuda::Pool> device_pool_;
  std::atomic<uint64_t> version_{0};
  std::shared_ptr<MemoryStats> stats_;
  std::shared_ptr<const void> owner_;
};

// Bytes the pool keeps for reuse, in all contexts.
size_t pooled_bytes();
// Gives the pool's unused blocks back to the system.
void release_pool();

}  // namespace kintsugi
