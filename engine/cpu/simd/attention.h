// Attention of one head in one thread.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

// Rows of `columns` neighbouring floats.
struct ConstRows {
  const float* data = nullptr;
  int64_t row = 0;
};
struct Rows {
  float* data = nullptr;
  int64_t row = 0;
};

struct AttentionHead {
  int64_t n, m, d, e;  // q (n,d), k (m,d), v (m,e)
  float scale;
  ConstRows q, k, v;
  ConstRows bias;           // (n,m), or without data
  int64_t bias_column = 1;  // 0 where one value serves a row
};
struct AttentionHeadGrads {
  ConstRows y, dy;
  const float* logsumexp;
  Rows dq, dk, dv;
  Rows dbias;  // laid out as bias; added to
};

struct AttentionKernels {
  // Floats of scratch that a head needs.
  int64_t (*room)(const AttentionHead& head, bool backward);
  void (*forward)(const AttentionHead& head, Rows y, float* logsumexp, float* room);
  void (*backward)(const AttentionHead& head, const AttentionHeadGrads& grads, float* room);
};

KINTSUGI_KERNELS(AttentionKernels, attention_kernels)

}  // namespace kintsugi::cpu
