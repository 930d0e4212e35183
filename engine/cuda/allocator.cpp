#include "kintsugi/engine/cuda/allocator.h"

#include <algorithm>
#include <bit>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cuda/context.h"

namespace kintsugi::cuda {

namespace {

constexpr size_t kAlignment = 512;

thread_local std::shared_ptr<Pool> pool_in_use;

// To an eighth of a power of two, as on the CPU.
size_t capacity_for(size_t bytes) {
  if (bytes <= kAlignment) return kAlignment;
  const size_t step = std::max(kAlignment, std::bit_floor(bytes - 1) / 8);
  return (bytes + step - 1) / step * step;
}

std::shared_ptr<Pool> default_pool(int device) {
  // Outlives every static tensor.
  static auto& pools = *new std::map<int, std::shared_ptr<Pool>>;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  auto& pool = pools[device];
  if (!pool) pool = std::make_shared<Pool>(device);
  return pool;
}

}  // namespace

AllocatorOptions& allocator_options() {
  static AllocatorOptions options;
  return options;
}

Pool::~Pool() {
  release_locked();
}

void* Pool::take(size_t bytes, Stream stream, size_t& capacity) {
  const AllocatorOptions& options = allocator_options();
  capacity = options.cache ? capacity_for(bytes) : std::max<size_t>(bytes, 1);
  std::lock_guard lock(mutex_);
  void* block = nullptr;
  const auto found = free_.find({stream, capacity});
  if (options.cache && found != free_.end() && !found->second.empty()) {
    block = found->second.back();
    found->second.pop_back();
  } else {
    const auto ask = [&] {
      return options.managed ? managed_malloc(capacity) : device_malloc(capacity);
    };
    block = ask();
    if (block == nullptr) {
      release_locked();
      block = ask();
    }
    // A pool of its own, a replay's, takes what the device's keeps for reuse.
    if (const auto shared = default_pool(device_); block == nullptr && shared.get() != this) {
      shared->release();
      block = ask();
    }
    if (block == nullptr) {
      size_t free_bytes = 0, total_bytes = 0;
      memory_info(free_bytes, total_bytes);
      fail(ErrorKind::kMemory, "allocator: cuda:", device_, " has no room for ", bytes,
           " bytes: ", free_bytes, " of ", total_bytes, " are free, ", stats_.allocated,
           " are held by live tensors");
    }
    stats_.reserved += capacity;
  }
  stats_.allocated += capacity;
  stats_.peak = std::max(stats_.peak, stats_.allocated);
  if (options.poison) set_async("allocator", block, 0xff, capacity, stream);
  return block;
}

void Pool::give_back(void* block, size_t capacity, Stream stream) {
  try {
    const Stream now = current_stream();
    if (now != stream && capturing(now)) {
      stream = now;  // an event would draw the other stream into the graph
    } else if (now != stream) {  // used elsewhere: whoever takes it next waits for that
      const Event event = create_event();
      record(event, now);
      wait(stream, event);
      destroy_event(event);
    }
  } catch (const Error&) {  // called from destructors; the device is lost, and a call has said so
    return;
  }
  std::lock_guard lock(mutex_);
  stats_.allocated -= capacity;
  if (!allocator_options().cache) {
    stats_.reserved -= capacity;
    device_free(block);
    return;
  }
  free_[{stream, capacity}].push_back(block);
}

void Pool::release() {
  std::lock_guard lock(mutex_);
  release_locked();
}

void Pool::release_locked() {
  for (auto& [key, blocks] : free_) {
    stats_.reserved -= key.second * blocks.size();
    for (void* block : blocks) device_free(block);
  }
  free_.clear();
}

AllocatorStats Pool::stats() {
  std::lock_guard lock(mutex_);
  return stats_;
}

void Pool::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak = stats_.allocated;
}

std::shared_ptr<Pool> current_pool(int device) {
  return pool_in_use ? pool_in_use : default_pool(device);
}

ScopedPool::ScopedPool(std::shared_ptr<Pool> pool) : saved_(std::exchange(pool_in_use, pool)) {}
ScopedPool::~ScopedPool() {
  pool_in_use = saved_;
}

}  // namespace kintsugi::cuda
