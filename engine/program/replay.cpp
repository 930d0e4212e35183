#include "kintsugi/engine/program/replay.h"

#include "kintsugi/engine/cuda/allocator.h"
#include "kintsugi/engine/cuda/context.h"

namespace kintsugi {

struct Replay::State {
  Device device;
  std::function<void()> work;
  std::shared_ptr<cuda::Pool> pool;
  cuda::Graph graph = nullptr;
};

Replay::Replay(Device device, std::function<void()> work) : state_(std::make_unique<State>()) {
  state_->device = device;
  state_->work = std::move(work);
  if constexpr (cuda::kBuilt) {
    if (device.type == DeviceType::kCuda) {
      cuda::use_device(device.index);
      state_->pool = std::make_shared<cuda::Pool>(device.index);
      const cuda::ScopedPool scope(state_->pool);
      state_->work();
      state_->work();
      cuda::begin_capture(cuda::current_stream());
      try {
        state_->work();
      } catch (...) {
        cuda::abandon_capture(cuda::current_stream());
        throw;
      }
      state_->graph = cuda::end_capture(cuda::current_stream());
      return;
    }
  }
  state_->work();
}

Replay::~Replay() {
  if constexpr (cuda::kBuilt) {
    if (!state_->graph) return;
    // Blocks of its pool may be in the graph that is still running.
    cuda::finish(cuda::current_stream());
    cuda::destroy_graph(state_->graph);
  }
}

void Replay::run() {
  if constexpr (cuda::kBuilt) {
    if (state_->graph) {
      cuda::use_device(state_->device.index);
      return cuda::launch_graph(state_->graph, cuda::current_stream());
    }
  }
  state_->work();
}

}  // namespace kintsugi
