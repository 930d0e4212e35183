#include "kintsugi/engine/core/buffer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cuda/allocator.h"
#include "kintsugi/engine/cuda/context.h"

namespace kintsugi {

namespace {

constexpr size_t kAlignment = 64;

// Free blocks by capacity. Capacities are rounded to an eighth of a power of two, so that a block
// serves requests of nearly its own size only and at most 12.5 % is wasted. A loop finds its blocks
// again; where another network comes, what the last one left is given back before both together
// hold twice of what was ever in use.
class Pool {
 public:
  static Pool& instance() {
    static Pool* pool = new Pool;  // outlives every static tensor
    return *pool;
  }

  static size_t capacity_for(size_t bytes) {
    if (bytes <= kAlignment) return kAlignment;
    const size_t step = std::max(kAlignment, std::bit_floor(bytes - 1) / 8);
    return (bytes + step - 1) / step * step;
  }

  void* take(size_t capacity) {
    {
      std::lock_guard lock(mutex_);
      live_ += capacity;
      auto found = free_.find(capacity);
      if (found != free_.end() && !found->second.empty()) {
        void* block = found->second.back();
        found->second.pop_back();
        pooled_ -= capacity;
        return block;
      }
      if (live_ + pooled_ > 2 * std::max(peak_, live_) + kSlack) release_locked();
    }
    void* block = std::aligned_alloc(kAlignment, capacity);
    if (block == nullptr) {
      release();
      block = std::aligned_alloc(kAlignment, capacity);
    }
    if (block == nullptr) {
      std::lock_guard lock(mutex_);
      live_ -= capacity;
      fail(ErrorKind::kMemory, "allocator: the system has no room for ", capacity, " bytes");
    }
    return block;
  }

  void give_back(void* block, size_t capacity) {
    std::lock_guard lock(mutex_);
    free_[capacity].push_back(block);
    pooled_ += capacity;
    peak_ = std::max(peak_, live_);
    live_ -= capacity;
  }

  void release() {
    std::lock_guard lock(mutex_);
    release_locked();
  }

  size_t pooled() {
    std::lock_guard lock(mutex_);
    return pooled_;
  }

 private:
  static constexpr size_t kSlack = size_t{64} << 20;

  void release_locked() {
    for (auto& [capacity, blocks] : free_) {
      for (void* block : blocks) std::free(block);
    }
    free_.clear();
    pooled_ = 0;
  }

  std::mutex mutex_;
  std::unordered_map<size_t, std::vector<void*>> free_;
  size_t pooled_ = 0, live_ = 0, peak_ = 0;
};

}  // namespace

Buffer::Buffer(size_t bytes, Device device) : bytes_(bytes), device_(device) {
  if (device.type == DeviceType::kMeta) return;
  if (bytes > (size_t{1} << 46)) {
    fail(ErrorKind::kMemory, "allocator: ", device, " has no room for ", bytes, " bytes");
  }
  if (device.type == DeviceType::kCuda) {
    if constexpr (cuda::kBuilt) {
      cuda::use_device(device.index);
      device_pool_ = cuda::current_pool(device.index);
      stream_ = cuda::current_stream();
      data_ = device_pool_->take(bytes, stream_, capacity_);
      host_accessible_ = cuda::allocator_options().managed;
    } else {
      fail(ErrorKind::kDevice, "allocator: ", device,
           " asked of a build that has no CUDA backend; configure with -DKINTSUGI_CUDA=ON");
    }
  } else {
    capacity_ = Pool::capacity_for(bytes);
    data_ = Pool::instance().take(capacity_);
  }
  stats_ = Context::current().memory;
  const int64_t now = stats_->current.fetch_add(int64_t(bytes)) + int64_t(bytes);
  int64_t peak = stats_->peak.load();
  while (peak < now && !stats_->peak.compare_exchange_weak(peak, now)) {
  }
}

Buffer::Buffer(void* data, size_t bytes, std::shared_ptr<const void> owner)
    : data_(data), bytes_(bytes), owner_(std::move(owner)) {}

Buffer::~Buffer() {
  if (capacity_ == 0) return;
  stats_->current -= int64_t(bytes_);
  if constexpr (cuda::kBuilt) {
    if (device_pool_) {
      device_pool_->give_back(data_, capacity_, stream_);
      return;
    }
  }
  Pool::instance().give_back(data_, capacity_);
}

size_t pooled_bytes() { return Pool::instance().pooled(); }
void release_pool() { Pool::instance().release(); }

}  // namespace kintsugi
