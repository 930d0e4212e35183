#include "kintsugi/engine/cuda/context.h"

#include <array>
#include <mutex>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::cuda {

namespace {

constexpr int kMaxDevices = 64;

thread_local int device_in_use = -1;
thread_local Stream stream_in_use = nullptr;

Stream compute_stream(int index) {
  static std::mutex mutex;
  static std::array<Stream, kMaxDevices> streams{};
  std::lock_guard lock(mutex);
  Stream& stream = streams[size_t(index)];
  if (!stream) stream = create_stream();
  return stream;
}

}  // namespace

void use_device(int index) {
  if (index == device_in_use) return;
  require_device(index);
  set_device(index);
  device_in_use = index;
}

int current_device() {
  if (device_in_use < 0) use_device(0);
  return device_in_use;
}

Stream current_stream() {
  return stream_in_use ? stream_in_use : compute_stream(current_device());
}

Math math_of(DType operands) {
  if (operands == DType::kBF16) return Math::kBF16;
  return Context::current().math == Math::kF32 ? Math::kF32 : Math::kTF32;
}

ScopedStream::ScopedStream(Stream stream) : saved_(stream_in_use) {
  stream_in_use = stream;
}
ScopedStream::~ScopedStream() {
  stream_in_use = saved_;
}

}  // namespace kintsugi::cuda
