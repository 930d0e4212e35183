#include "kintsugi/engine/core/context.h"

#include <thread>

#include "kintsugi/engine/core/error.h"

namespace kintsugi {

Context::Context() : threads_(std::max(1, int(std::thread::hardware_concurrency()))) {}

Context& Context::current() {
  thread_local Context context;
  return context;
}

void Context::set_threads(int threads) {
  if (threads < 1) fail(ErrorKind::kUsage, "threads: got ", threads, ", expected at least 1");
  threads_ = threads;
}

}  // namespace kintsugi
