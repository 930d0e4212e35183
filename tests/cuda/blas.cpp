#include "kintsugi/engine/cuda/blas.h"

#include <cmath>

#include "kintsugi/engine/cuda/context.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/matmul.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("gemm: bias, relu, accumulation, transposes and batches of f32, TF32 and bf16") {
  struct Case {
    Math math;
    DType operands, result;
    double tolerance;
  };
  for (const auto& [math, operands, result, tolerance] :
       {Case{Math::kF32, DType::kF32, DType::kF32, 5e-6},
        Case{Math::kTF32, DType::kF32, DType::kF32, 2e-3},
        Case{Math::kBF16, DType::kF32, DType::kF32, 2e-3},
        Case{Math::kF32, DType::kBF16, DType::kF32, 5e-6},
        Case{Math::kF32, DType::kBF16, DType::kBF16, 1e-2}}) {
    const ScopedSet mode(Context::current().math, math);
    const bool rounds = operands == DType::kF32 && math != Math::kF32;
    for (const bool relu : {false, true}) {
      for (int bits = 0; bits < 32; ++bits) {
        const bool turn_a = bits & 1, turn_b = bits & 2, accumulate = bits & 4;
        const bool with_bias = bits & 8, one_b = bits & 16;
        CAPTURE(int(math));
        CAPTURE(name_of(operands));
        CAPTURE(name_of(result));
        CAPTURE(relu);
        CAPTURE(bits);
        const int64_t m = 9, n = 13, k = 21, batch = 3;
        const auto operand = [&](int64_t count, int64_t rows, int64_t columns, bool turn,
                                 uint64_t seed) {
          const Shape shape{count, turn ? columns : rows, turn ? rows : columns};
          return random_tensor(shape, seed, -0.5, 0.5).to(operands);
        };
        const Tensor a = operand(batch, m, k, turn_a, 1);
        const Tensor b = operand(one_b ? 1 : batch, k, n, turn_b, 2);
        const Tensor bias = random_tensor({n}, 3, -1, 1).to(result);
        Tensor y = accumulate ? random_tensor({batch, m, n}, 4, -1, 1).to(result)
                              : make::empty({batch, m, n}, result);
        const auto wide = [](const Tensor& x) { return x.to(DType::kF64); };
        Tensor want = ops::matmul(turn_a ? wide(a).transpose(1, 2) : wide(a),
                                  turn_b ? wide(b).transpose(1, 2) : wide(b));
        if (accumulate) want = ops::binary(ops::Binary::kAdd, want, wide(y));
        if (with_bias) want = ops::binary(ops::Binary::kAdd, want, wide(bias));
        if (relu) want = ops::unary(ops::Unary::kRelu, want);
        cuda::Gemm g;
        g.m = m;
        g.n = n;
        g.k = k;
        g.a = a.address();
        g.b = b.address();
        g.y = y.address();
        g.operands = operands;
        g.result = result;
        g.a_row = turn_a ? m : k;
        g.b_row = turn_b ? k : n;
        g.y_row = n;
        g.a_transposed = turn_a;
        g.b_transposed = turn_b;
        g.batch = batch;
        g.a_step = m * k;
        g.b_step = one_b ? 0 : k * n;
        g.y_step = m * n;
        g.bias = with_bias ? bias.address() : nullptr;
        g.relu = relu;
        g.accumulate = accumulate;
        cuda::gemm("test", g);
        const double error = error_of(y, want);
        CHECK(error < tolerance);
        // cuBLAS may round, and does not where a kernel without tensor cores serves.
        if (rounds && kEmulated) CHECK(error > 1e-6);
      }
    }
  }
}

TEST_CASE("gemm: more products than a library takes at once") {
  constexpr int64_t kBatch = 70000;
  const Tensor a = random_tensor({kBatch, 1, 2}, 1, -1, 1, DType::kF32);
  const Tensor b = random_tensor({kBatch, 2, 1}, 2, -1, 1, DType::kF32);
  const Tensor y = make::empty({kBatch, 1, 1}, DType::kF32);
  cuda::Gemm g;
  g.m = g.n = 1;
  g.k = 2;
  g.a = a.address();
  g.b = b.address();
  g.y = y.address();
  g.a_row = 2;
  g.b_row = g.y_row = 1;
  g.batch = kBatch;
  g.a_step = g.b_step = 2;
  g.y_step = 1;
  cuda::gemm("test", g);
  CHECK(error_of(y, ops::matmul(a.to(DType::kF64), b.to(DType::kF64))) < 1e-6);
}
