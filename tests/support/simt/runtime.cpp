// The CUDA runtime of the emulator: one device, whose memory is the host's and whose streams run at
// once what is queued on them.
#include "kintsugi/engine/cuda/runtime.h"

#include <cstdlib>
#include <memory>
#include <unordered_map>
#include <vector>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cuda/launch.h"
#include "tests/support/simt/device.h"

namespace kintsugi::simt {

Device& device() {
  static Device d;
  return d;
}

void enqueue(std::function<void()> work) {
  if (device().capturing)
    device().capturing->push_back(std::move(work));
  else
    work();
}

}  // namespace kintsugi::simt

namespace kintsugi::cuda {

using simt::device;

int device_count() {
  return device().count;
}

void require_device(int index) {
  if (device().count == 0)
    fail(ErrorKind::kDevice, "cuda: no device can be used: none is emulated");
  if (index < 0 || index >= device().count) {
    fail(ErrorKind::kDevice, "cuda: got device cuda:", index, ", expected cuda:0");
  }
}

int multiprocessors(int) {
  return 4;
}
void set_device(int) {}

void* device_malloc(size_t bytes) {
  if (device().capturing) fail(ErrorKind::kDevice, "allocator: not while a graph is captured");
  if (device().used + bytes > device().memory) return nullptr;
  void* block = std::malloc(bytes);
  if (block == nullptr) return nullptr;
  std::memset(block, 0xff, bytes);
  device().used += bytes;
  device().blocks[block] = bytes;
  return block;
}
void* managed_malloc(size_t bytes) {
  return device_malloc(bytes);
}
void device_free(void* block) {
  device().used -= device().blocks[block];
  device().blocks.erase(block);
  std::free(block);
}
void* pinned_malloc(size_t bytes) {
  return std::malloc(bytes);
}
void pinned_free(void* block) {
  std::free(block);
}
void memory_info(size_t& free_bytes, size_t& total_bytes) {
  free_bytes = device().memory - device().used;
  total_bytes = device().memory;
}

// Streams and events are told apart by number; work is done when it is queued.
Stream create_stream() {
  static uintptr_t number = 0;
  return reinterpret_cast<Stream>(++number);
}
void synchronize(const char* op, Stream) {
  if (device().capturing) fail(ErrorKind::kDevice, op, ": cannot wait while a graph is captured");
}
void finish(Stream) {}
Event create_event() {
  return reinterpret_cast<Event>(uintptr_t{1});
}
void destroy_event(Event) {}
void record(Event, Stream) {}
void wait(Stream, Event) {}
void host_wait(const char*, Event) {}
bool capturing(Stream) {
  return device().capturing != nullptr;
}

void copy_async(const char*, void* dst, const void* src, size_t bytes, Stream) {
  simt::enqueue([=] { std::memcpy(dst, src, bytes); });
}
void set_async(const char*, void* dst, int byte, size_t bytes, Stream) {
  simt::enqueue([=] { std::memset(dst, byte, bytes); });
}

void begin_capture(Stream) {
  device().capturing = std::make_unique<simt::Queue>();
}
Graph end_capture(Stream) {
  return device().capturing.release();
}
void abandon_capture(Stream) {
  device().capturing.reset();
}
void launch_graph(Graph graph, Stream) {
  for (const auto& work : *static_cast<simt::Queue*>(graph)) work();
}
void destroy_graph(Graph graph) {
  delete static_cast<simt::Queue*>(graph);
}

void submit(const char* op, dim3 grid, dim3 block, size_t shared_bytes,
            std::function<void()> thread) {
  simt::enqueue([=] { simt::run(op, grid, block, shared_bytes, thread); });
}

}  // namespace kintsugi::cuda
