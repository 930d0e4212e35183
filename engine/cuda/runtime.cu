#include <cuda_runtime.h>

#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cuda/context.h"
#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

namespace {

void check(const char* op, cudaError_t status) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that can be got over is forgotten
  fail(ErrorKind::kDevice, op, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status),
       ")");
}

cudaStream_t raw(Stream stream) {
  return static_cast<cudaStream_t>(stream);
}
cudaEvent_t raw_event(Event event) {
  return static_cast<cudaEvent_t>(event);
}

}  // namespace

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

void require_device(int index) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    fail(ErrorKind::kDevice, "cuda: no device can be used: ",
         status == cudaSuccess ? "the driver lists none" : cudaGetErrorString(status));
  }
  if (index < 0 || index >= count) {
    fail(ErrorKind::kDevice, "cuda: got device cuda:", index, ", expected cuda:0",
         count > 1 ? " to cuda:" + std::to_string(count - 1) : std::string());
  }
}

int multiprocessors(int index) {
  int count = 0;
  check("cuda", cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, index));
  return count;
}

void set_device(int index) {
  check("cuda", cudaSetDevice(index));
}

void* device_malloc(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check("allocator", status);
  return block;
}

void* managed_malloc(size_t bytes) {
  void* block = nullptr;
  check("allocator", cudaMallocManaged(&block, bytes));
  return block;
}

// Frees come from destructors too: what fails here has failed before, in a call that said so.
void device_free(void* block) {
  cudaFree(block);
}

void* pinned_malloc(size_t bytes) {
  void* block = nullptr;
  check("allocator", cudaMallocHost(&block, bytes));
  return block;
}
void pinned_free(void* block) {
  cudaFreeHost(block);
}

void memory_info(size_t& free_bytes, size_t& total_bytes) {
  check("allocator", cudaMemGetInfo(&free_bytes, &total_bytes));
}

Stream create_stream() {
  cudaStream_t stream = nullptr;
  check("cuda", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}
void synchronize(const char* op, Stream stream) {
  check(op, cudaStreamSynchronize(raw(stream)));
}
void finish(Stream stream) {
  cudaStreamSynchronize(raw(stream));
}
Event create_event() {
  cudaEvent_t event = nullptr;
  check("cuda", cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}
void destroy_event(Event event) {
  cudaEventDestroy(raw_event(event));
}
void record(Event event, Stream stream) {
  check("cuda", cudaEventRecord(raw_event(event), raw(stream)));
}
void wait(Stream stream, Event event) {
  check("cuda", cudaStreamWaitEvent(raw(stream), raw_event(event), 0));
}

void host_wait(const char* op, Event event) {
  check(op, cudaEventSynchronize(raw_event(event)));
}
bool capturing(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check("cuda", cudaStreamIsCapturing(raw(stream), &status));
  return status != cudaStreamCaptureStatusNone;
}

void copy_async(const char* op, void* dst, const void* src, size_t bytes, Stream stream) {
  check(op, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, raw(stream)));
}
void set_async(const char* op, void* dst, int byte, size_t bytes, Stream stream) {
  check(op, cudaMemsetAsync(dst, byte, bytes, raw(stream)));
}

void begin_capture(Stream stream) {
  check("cuda graph", cudaStreamBeginCapture(raw(stream), cudaStreamCaptureModeThreadLocal));
}
Graph end_capture(Stream stream) {
  cudaGraph_t graph = nullptr;
  check("cuda graph", cudaStreamEndCapture(raw(stream), &graph));
  cudaGraphExec_t ready = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check("cuda graph", status);
  return ready;
}
void abandon_capture(Stream stream) {
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(raw(stream), &graph);
  if (graph) cudaGraphDestroy(graph);
  cudaGetLastError();
}
void launch_graph(Graph graph, Stream stream) {
  check("cuda graph", cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), raw(stream)));
}
void destroy_graph(Graph graph) {
  cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

void allow_shared(const char* op, const void* kernel) {
  static std::mutex mutex;
  static std::set<std::pair<int, const void*>> allowed;
  const int device = current_device();
  const std::lock_guard lock(mutex);
  if (allowed.contains({device, kernel})) return;
  int most = 0;
  check(op, cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  check(op, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  allowed.insert({device, kernel});
}

void check_launch(const char* op, dim3 grid, dim3 block, size_t shared_bytes) {
  const cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess) return;
  fail(ErrorKind::kDevice, op, ": the launch of (", grid.x, ",", grid.y, ",", grid.z,
       ") blocks of (", block.x, ",", block.y, ",", block.z, ") threads with ", shared_bytes,
       " bytes of shared memory failed: ", cudaGetErrorString(status), " (",
       cudaGetErrorName(status), ")");
}

}  // namespace kintsugi::cuda
