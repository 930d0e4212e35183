// Fibers jump between stacks, which fortified longjmp takes for an error.
#undef _FORTIFY_SOURCE
#include "tests/support/simt/simt.h"

#include <setjmp.h>
#include <ucontext.h>

#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "kintsugi/engine/core/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define KINTSUGI_FIBER_ASAN 1
#endif

thread_local uint3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;

namespace kintsugi::simt {

namespace {

constexpr size_t kStack = 64 << 10;
constexpr unsigned kMaxShared = 227 << 10;  // of sm_90; sm_80 has 163 KiB

enum class State : uint8_t { kReady, kBarrier, kWarp, kDone };

struct Fiber {
  ucontext_t context{};
  jmp_buf place;
  bool begun = false;
  std::unique_ptr<char[]> stack{new char[kStack]};
  void* fake_stack = nullptr;
  int thread = -1;  // the thread that it is in the middle of; -1: none
};

struct Copy {
  void* to;
  const void* from;
  size_t bytes, whole;
  int group;
};

struct Lane {
  State state = State::kReady;
  unsigned mask = 0;  // of the warp operation waited for
  int fiber = -1;
  int groups = 0;            // of copies, closed so far
  std::vector<Copy> copies;  // not waited for, in their order
};

// One at a time on each host thread.
struct Machine {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<int> idle;
  ucontext_t scheduler{};
  jmp_buf scheduler_place;
  void* scheduler_fake = nullptr;
  const void* scheduler_stack = nullptr;
  size_t scheduler_size = 0;

  std::vector<Lane> lanes;
  std::vector<int> order;
  size_t next = 0;  // into order: threads not yet begun
  int running = -1, fiber = -1;
  std::vector<Slot> slots;  // of each warp 32 to write and 32 to read, copied when all have come
  std::vector<unsigned char> shared;
  const std::function<void()>* body = nullptr;
  const char* op = "";
  std::exception_ptr failure;
  unsigned launches = 0;

  uint3 index_of(int thread) const {
    const unsigned t = unsigned(thread);
    return {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
  }
};

Machine& machine() {
  static thread_local Machine m;
  return m;
}

// swapcontext asks the kernel for the signal mask at each switch; once a fiber has begun, jumps do
// without. AddressSanitizer understands the former only.
void switch_to(jmp_buf& from, ucontext_t& from_context, jmp_buf& to, ucontext_t& to_context,
               bool begun) {
#ifdef KINTSUGI_FIBER_ASAN
  (void)from, (void)to, (void)begun;
  swapcontext(&from_context, &to_context);
#else
  if (_setjmp(from) != 0) return;
  if (begun) _longjmp(to, 1);
  swapcontext(&from_context, &to_context);
#endif
}

void to_scheduler() {
  Machine& m = machine();
  Fiber& fiber = *m.fibers[size_t(m.fiber)];
#ifdef KINTSUGI_FIBER_ASAN
  __sanitizer_start_switch_fiber(&fiber.fake_stack, m.scheduler_stack, m.scheduler_size);
#endif
  switch_to(fiber.place, fiber.context, m.scheduler_place, m.scheduler, true);
#ifdef KINTSUGI_FIBER_ASAN
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &m.scheduler_stack, &m.scheduler_size);
#endif
}

// A fiber runs thread after thread, each to its end, and is left only where one has to wait.
void fiber_main() {
  Machine& m = machine();
#ifdef KINTSUGI_FIBER_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &m.scheduler_stack, &m.scheduler_size);
#endif
  for (;;) {
    Fiber& self = *m.fibers[size_t(m.fiber)];
    while (m.next < m.order.size()) {
      const int thread = m.order[m.next++];
      self.thread = m.running = thread;
      m.lanes[size_t(thread)].fiber = m.fiber;
      threadIdx = m.index_of(thread);
      try {
        (*m.body)();
        if (!m.lanes[size_t(thread)].copies.empty()) {
          fail(ErrorKind::kUsage, m.op, ": a thread ended with copies that it did not wait for");
        }
      } catch (...) {
        m.failure = std::current_exception();
      }
      // It may have waited, and others have run in between: `running` is this thread again.
      m.lanes[size_t(thread)].state = State::kDone;
      self.thread = -1;
      m.running = -1;
    }
    m.idle.push_back(m.fiber);
    to_scheduler();
  }
}

void resume(int number) {
  Machine& m = machine();
  Fiber& fiber = *m.fibers[size_t(number)];
  m.fiber = number;
  m.running = fiber.thread;
  if (fiber.thread >= 0) threadIdx = m.index_of(fiber.thread);
#ifdef KINTSUGI_FIBER_ASAN
  __sanitizer_start_switch_fiber(&m.scheduler_fake, fiber.stack.get(), kStack);
#endif
  const bool begun = std::exchange(fiber.begun, true);
  switch_to(m.scheduler_place, m.scheduler, fiber.place, fiber.context, begun);
#ifdef KINTSUGI_FIBER_ASAN
  __sanitizer_finish_switch_fiber(m.scheduler_fake, nullptr, nullptr);
#endif
}

int idle_fiber() {
  Machine& m = machine();
  if (!m.idle.empty()) {
    const int number = m.idle.back();
    m.idle.pop_back();
    return number;
  }
  m.fibers.push_back(std::make_unique<Fiber>());
  Fiber& fiber = *m.fibers.back();
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiber_main, 0);
  return int(m.fibers.size()) - 1;
}

void wait(State state) {
  Machine& m = machine();
  m.lanes[size_t(m.running)].state = state;
  to_scheduler();
}

[[noreturn]] void deadlock() {
  Machine& m = machine();
  int barrier = 0, warp = 0, done = 0;
  for (const Lane& lane : m.lanes) {
    barrier += lane.state == State::kBarrier;
    warp += lane.state == State::kWarp;
    done += lane.state == State::kDone;
  }
  // The fibers that wait are given up with their stacks.
  m.fibers.clear();
  m.idle.clear();
  fail(ErrorKind::kNumeric, m.op, ": the kernel's threads wait for each other in vain: ", barrier,
       " at a barrier, ", warp, " at a warp operation, ", done, " ended");
}

// Lets go the threads of a warp whose partners have all come; false where there are none.
bool release_warp(int first, int count) {
  Machine& m = machine();
  bool any = false;
  for (int i = 0; i < count; ++i) {
    const Lane& lane = m.lanes[size_t(first + i)];
    if (lane.state != State::kWarp) continue;
    bool whole = true;
    for (int j = 0; j < 32 && whole; ++j) {
      if (!(lane.mask >> j & 1)) continue;
      whole = j < count && m.lanes[size_t(first + j)].state == State::kWarp &&
              m.lanes[size_t(first + j)].mask == lane.mask;
    }
    if (!whole) continue;
    const unsigned mask = lane.mask;
    Slot* slots = &m.slots[size_t(first) * 2];
    for (int j = 0; j < count; ++j) {
      if (!(mask >> j & 1)) continue;
      m.lanes[size_t(first + j)].state = State::kReady;
      slots[32 + j] = slots[j];
    }
    any = true;
  }
  return any;
}

bool release_barrier() {
  Machine& m = machine();
  for (const Lane& lane : m.lanes) {
    if (lane.state != State::kBarrier && lane.state != State::kDone) return false;
  }
  for (Lane& lane : m.lanes) {
    if (lane.state == State::kBarrier) lane.state = State::kReady;
  }
  return true;
}

void run_block(int threads, size_t shared_bytes) {
  Machine& m = machine();
  m.lanes.assign(size_t(threads), Lane{});
  m.slots.resize(size_t((threads + 31) / 32) * 64);
  // A vector of its own size each time: what lies beyond it belongs to nobody.
  std::vector<unsigned char>(shared_bytes, 0xff).swap(m.shared);
  m.next = 0;
  while (m.next < m.order.size()) resume(idle_fiber());
  const int warps = (threads + 31) / 32;
  const bool backwards = m.launches % 2;
  for (;;) {
    // A warp goes as far as it can before the next one does, so that it meets what others have not
    // done yet where a barrier is missing.
    for (int w = 0; w < warps; ++w) {
      const int first = (backwards ? warps - 1 - w : w) * 32, count = std::min(32, threads - first);
      do {
        for (int i = 0; i < count; ++i) {
          const Lane& lane = m.lanes[size_t(first + (backwards ? count - 1 - i : i))];
          if (lane.state == State::kReady) resume(lane.fiber);
        }
      } while (release_warp(first, count));
    }
    bool left = false;
    for (const Lane& lane : m.lanes) left |= lane.state != State::kDone;
    if (!left) return;
    if (!release_barrier()) deadlock();
  }
}

}  // namespace

void run(const char* op, dim3 grid, dim3 block, size_t shared_bytes,
         const std::function<void()>& thread) {
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.z > 64 || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
      grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || shared_bytes > kMaxShared) {
    fail(ErrorKind::kDevice, op, ": invalid launch of (", grid.x, ",", grid.y, ",", grid.z,
         ") blocks of (", block.x, ",", block.y, ",", block.z, ") threads with ", shared_bytes,
         " bytes of shared memory");
  }
  Machine& m = machine();
  m.body = &thread;
  m.op = op;
  gridDim = grid;
  blockDim = block;
  m.order.resize(threads);
  for (size_t i = 0; i < threads; ++i) m.order[i] = int(m.launches % 2 ? threads - 1 - i : i);
  const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t b = m.launches % 2 ? blocks - 1 - i : i;
    blockIdx = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y)};
    run_block(int(threads), shared_bytes);
  }
  ++m.launches;
  if (m.failure) std::rethrow_exception(std::exchange(m.failure, nullptr));
}

void* shared_memory() {
  return machine().shared.data();
}
void barrier() {
  wait(State::kBarrier);
}
int lane() {
  return machine().running % 32;
}

void copy_later(void* to, const void* from, size_t bytes, size_t whole) {
  Machine& m = machine();
  if ((reinterpret_cast<uintptr_t>(to) | (bytes ? reinterpret_cast<uintptr_t>(from) : 0)) % whole) {
    fail(ErrorKind::kUsage, m.op, ": a copy of ", whole, " bytes between unaligned addresses");
  }
  std::memset(to, 0xff, whole);
  Lane& lane = m.lanes[size_t(m.running)];
  lane.copies.push_back({to, from, bytes, whole, lane.groups});
}
void close_group() {
  Machine& m = machine();
  ++m.lanes[size_t(m.running)].groups;
}
void wait_for_groups(int open) {
  Machine& m = machine();
  Lane& lane = m.lanes[size_t(m.running)];
  auto copy = lane.copies.begin();
  for (; copy != lane.copies.end() && copy->group < lane.groups - open; ++copy) {
    if (copy->bytes) std::memcpy(copy->to, copy->from, copy->bytes);
    std::memset(static_cast<char*>(copy->to) + copy->bytes, 0, copy->whole - copy->bytes);
  }
  lane.copies.erase(lane.copies.begin(), copy);
}

const Slot* exchange(unsigned mask, const void* value, size_t bytes) {
  Machine& m = machine();
  const int thread = m.running;
  if (bytes > sizeof(Slot))
    fail(ErrorKind::kUsage, m.op, ": a warp operation on ", bytes, " bytes");
  Lane& lane = m.lanes[size_t(thread)];
  Slot* slots = &m.slots[size_t(thread / 32 * 64)];
  std::memcpy(slots[thread % 32].bytes, value, bytes);
  lane.mask = mask;
  wait(State::kWarp);
  return slots + 32;
}

}  // namespace kintsugi::simt
