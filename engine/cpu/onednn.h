// The one door to oneDNN: no type of its leaves onednn.cpp, and what differs between 2.x and 3.x
// lives there. Never installed; exists only under KINTSUGI_HAVE_ONEDNN.
//
// Every function runs with the context's threads, waits for the result, and returns false (having
// written nothing) where oneDNN has only its slow reference kernel. Other refusals are an Error.
// Primitives are kept in a cache of their own lock, by operation, shape and thread count. All f32.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/conv_shape.h"

namespace kintsugi::cpu::onednn {

// c = a * b (+ bias, one value a column) over two leading batch dimensions (1 where there are
// none). Strides in elements: batch 0, batch 1, row, column. Of a row and a column stride one must
// be 1 in each operand, the column stride in c. A batch stride of 0 repeats a or b.
struct Matmul {
  int64_t batch[2] = {1, 1};
  int64_t m = 0, n = 0, k = 0;
  int64_t a[4] = {0, 0, 0, 1};  // (m,k)
  int64_t b[4] = {0, 0, 0, 1};  // (k,n)
  int64_t c[4] = {0, 0, 0, 1};  // (m,n)
};
bool matmul(const Matmul& shape, const float* a, const float* b, const float* bias, float* c);

// Activations channels last, weights and their gradient row major (o, c/groups, kh, kw); bias and
// dbias may be null.
bool conv(const ConvShape& shape, const float* x, const float* weight, const float* bias, float* y);
bool conv_backward_input(const ConvShape& shape, const float* dy, const float* weight, float* dx);
bool conv_backward_weight(const ConvShape& shape, const float* x, const float* dy, float* dweight,
                          float* dbias);

}  // namespace kintsugi::cpu::onednn
