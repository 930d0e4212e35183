// What this machine can do at most, measured in the same run as what is held against it.
#pragma once

#include <ostream>

namespace kintsugi::bench {

struct Ceilings {
  double gflops = 0;  // single-precision multiply-adds in registers, two operations each
  double gbytes = 0;  // a[i] = b[i] + s c[i] on arrays beyond the caches, three streams counted
};
Ceilings measure_ceilings(int threads, double seconds = 0.3);
void print(std::ostream& out, const Ceilings& ceilings, int threads);

}  // namespace kintsugi::bench
