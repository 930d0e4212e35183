// The emulated device, for tests that make it small or take it away.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace kintsugi::simt {

using Queue = std::vector<std::function<void()>>;

struct Device {
  int count = 1;
  size_t memory = size_t{8} << 30;
  size_t used = 0;
  std::unordered_map<void*, size_t> blocks;
  std::unique_ptr<Queue> capturing;
};
Device& device();

// Runs `work`, or keeps it where a graph is being captured.
void enqueue(std::function<void()> work);

}  // namespace kintsugi::simt
