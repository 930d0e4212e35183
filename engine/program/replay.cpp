#include "kintsugi/engine/program/replay.h"

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/cuda/allocator.h"
#include "kintsugi/engine/cuda/context.h"
#include "kintsugi/engine/program/draws.h"

namespace kintsugi {

struct Replay::State {
  Device device;
  std::function<void()> work;
  std::shared_ptr<cuda::Pool> pool;
  cuda::Graph graph = nullptr;
  Draws draws;
};

Replay::Replay(Device device, std::function<void()> work) : state_(std::make_unique<State>()) {
  state_->device = device;
  state_->work = std::move(work);
  if constexpr (cuda::kBuilt) {
    if (device.type == DeviceType::kCuda) {
      cuda::use_device(device.index);
      state_->pool = std::make_shared<cuda::Pool>(device.index);
      Context& context = Context::current();
      const ScopedSet generator(context.generator, context.generator);
      const auto prepare = [&] {
        const cuda::ScopedPool scope(state_->pool);
        state_->work();
      };
      prepare();
      const ScopedSet draws(context.draws, &state_->draws);
      prepare();
      state_->draws.begin_capture(device);  // memory of its own: the work's blocks are counted
      const cuda::ScopedPool scope(state_->pool);
      cuda::begin_capture(cuda::current_stream());
      try {
        state_->work();
        state_->draws.end_capture();
      } catch (...) {
        cuda::abandon_capture(cuda::current_stream());
        throw;
      }
      state_->graph = cuda::end_capture(cuda::current_stream());
      return;
    }
  }
  const ScopedSet generator(Context::current().generator, Context::current().generator);
  state_->work();
}

Replay::~Replay() {
  if constexpr (cuda::kBuilt) {
    if (!state_->graph) return;
    try {
      cuda::use_device(state_->device.index);
      // Blocks of its pool may be in the graph that is still running.
      cuda::finish(cuda::current_stream());
    } catch (const Error&) {  // the device is lost, and a call has said so
    }
    cuda::destroy_graph(state_->graph);
  }
}

void Replay::run() {
  if constexpr (cuda::kBuilt) {
    if (state_->graph) {
      cuda::use_device(state_->device.index);
      state_->draws.renew();
      return cuda::launch_graph(state_->graph, cuda::current_stream());
    }
  }
  state_->work();
}

}  // namespace kintsugi
