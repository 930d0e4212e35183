// Learning rates over a run.
#pragma once

#include <cstdint>

namespace kintsugi::autograd {

// The rate of step `step` of `total` (from 0): linear from warmup_start to base over `warmup` steps,
// then half a cosine from base to `final` (Loshchilov & Hutter 2017, SGDR without restarts).
double cosine_lr(int64_t step, int64_t total, int64_t warmup, double base, double final = 0,
                 double warmup_start = 0);

}  // namespace kintsugi::autograd
