#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "kintsugi/engine/cuda/context.h"

namespace kintsugi::cuda {

namespace {

constexpr size_t kChunk = size_t{8} << 20;

// Two chunks of pinned memory in turns: one is filled while the other is on its way.
struct Uploader {
  std::mutex mutex;
  Stream stream = create_stream();
  struct Slot {
    void* bytes = pinned_malloc(kChunk);
    Event sent = create_event();
    bool used = false;
  };
  std::array<Slot, 2> slots;
  size_t next = 0;
  Event arrived = create_event();
};

Uploader& uploader(int device) {
  static std::mutex mutex;
  // They outlive every static tensor.
  static auto& all = *new std::map<int, std::unique_ptr<Uploader>>;
  std::lock_guard lock(mutex);
  auto& one = all[device];
  if (!one) one = std::make_unique<Uploader>();
  return *one;
}

}  // namespace

Tensor upload(const Tensor& x) {
  const Device device{DeviceType::kCuda, current_device()};
  Uploader& u = uploader(device.index);
  std::lock_guard lock(u.mutex);
  Tensor out;
  {
    // A block of the upload's stream: nothing that the compute stream still does is waited for.
    const ScopedStream scope(u.stream);
    out = Tensor::empty(x.shape(), x.dtype(), device).strided(x.shape(), x.strides(), 0);
  }
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(out.address());
  for (size_t at = 0; at < x.bytes(); at += kChunk) {
    const size_t size = std::min(kChunk, x.bytes() - at);
    Uploader::Slot& slot = u.slots[u.next++ % u.slots.size()];
    if (slot.used) host_wait("upload", slot.sent);
    std::memcpy(slot.bytes, from + at, size);
    copy_async("upload", to + at, slot.bytes, size, u.stream);
    record(slot.sent, u.stream);
    slot.used = true;
  }
  record(u.arrived, u.stream);
  wait(current_stream(), u.arrived);
  return out;
}

}  // namespace kintsugi::cuda
