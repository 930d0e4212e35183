// From a file to the first logits, each time in a process of its own.
#pragma once

#include <ostream>
#include <string>

namespace kintsugi::bench {

struct LoadBenchOptions {
  std::string model = "resnet50";
  std::string weights;  // a file with the model's card; empty: one of initial weights is written
  std::string program;  // the kintsugi to start; empty: the one beside this program
  int64_t runs = 7;
  std::string beside;  // another command line that ends with first logits, taken in turns
};

// The page cache is warm: the first turn of each does not count. Verified: every run ends well, and
// leaves logits of the right shape that are all finite.
void bench_load(std::ostream& out, const LoadBenchOptions& options);

}  // namespace kintsugi::bench
