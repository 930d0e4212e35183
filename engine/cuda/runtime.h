// What the backend needs of the CUDA runtime, without its types: runtime.cu gives it on a device; the
// tests' emulator gives it on the CPU. Calls that fail throw an Error of kind kDevice that names `op`.
// Never installed.
#pragma once

#include <cstddef>
#include <string>

#include "kintsugi/engine/core/device.h"

namespace kintsugi::cuda {

#ifdef KINTSUGI_HAVE_CUDA
constexpr bool kBuilt = true;
#else
constexpr bool kBuilt = false;
#endif

using Stream = void*;
using Event = void*;
using Graph = void*;

// An Error that says why where there is no driver, no device, or none of this index.
void require_device(int index);
int device_count();  // 0 without a driver
int multiprocessors(int index);

void set_device(int index);

// nullptr where the device has no room.
void* device_malloc(size_t bytes);
// Memory that host and device both reach; slow, for tests.
void* managed_malloc(size_t bytes);
void device_free(void* block);
void* pinned_malloc(size_t bytes);
void pinned_free(void* block);
void memory_info(size_t& free_bytes, size_t& total_bytes);

Stream create_stream();
void synchronize(const char* op, Stream stream);
void finish(Stream stream);  // the same for destructors: throws nothing
Event create_event();
void destroy_event(Event event);
void record(Event event, Stream stream);
void wait(Stream stream, Event event);  // the stream waits, not the host
void host_wait(const char* op, Event event);
bool capturing(Stream stream);

// Device to device, to the host and from it: host memory stays as it is until the stream is done
// with it.
void copy_async(const char* op, void* dst, const void* src, size_t bytes, Stream stream);
void set_async(const char* op, void* dst, int byte, size_t bytes, Stream stream);

// What is launched on `stream` between the two is recorded and not run.
void begin_capture(Stream stream);
Graph end_capture(Stream stream);
void abandon_capture(Stream stream);  // after an Error in between; throws nothing
void launch_graph(Graph graph, Stream stream);
void destroy_graph(Graph graph);

}  // namespace kintsugi::cuda
