#include "kintsugi/engine/ops/gram.h"

#include "kintsugi/engine/cuda/gram.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::ops {

namespace {

template <class Kernel>
void on_device(const OpCall& call, const Kernel& kernel) {
  detail::dispatch(
      call, [] { return false; }, kernel,
      [&] {
        fail(ErrorKind::kMissing, call.op,
             ": is for tensors on a device; the host has the solvers'");
      });
}

void require(const char* op, const char* what, const Tensor& x, DType dtype, int64_t elements) {
  if (x.dtype() != dtype || x.numel() != elements || !x.is_contiguous()) {
    fail(ErrorKind::kShape, op, ": ", what, " is ", name_of(x.dtype()), " of shape ", x.shape(),
         ", expected ", elements, " of ", name_of(dtype), " without gaps");
  }
}

void require_rows(const char* op, const Tensor& x) {
  detail::require_rank(op, x, 2, "(rows, terms)");
  if (x.dtype() != DType::kF32) {
    fail(ErrorKind::kDtype, op, ": got ", name_of(x.dtype()), ", expected f32");
  }
}

}  // namespace

void add_row_products(const Tensor& x, Tensor& sum) {
  constexpr const char* kOp = "add_row_products";
  require_rows(kOp, x);
  const int64_t m = x.size(0), k = x.size(1);
  require(kOp, "sum", sum, DType::kF64, m * m);
  const bool in_rows = (k == 1 || x.strides()[1] == 1) && (m == 1 || x.strides()[0] >= k);
  const Tensor rows = in_rows ? x : x.contiguous();
  sum.bump_version();
  on_device({kOp, {&x}, {&sum}, m * m * k},
            [&](auto) { return cuda::add_row_products(rows, sum); });
}

void unit_gram(const Tensor& x, const GramKind& kind, Tensor& packed, Tensor& norm) {
  constexpr const char* kOp = "unit_gram";
  require_rows(kOp, x);
  const int64_t n = x.size(0), least = kind.unbiased ? 3 : 2;
  if (n < least) fail(ErrorKind::kShape, kOp, ": got ", n, " rows, expected at least ", least);
  require(kOp, "packed", packed, DType::kF32, n * (n + 1) / 2);
  require(kOp, "norm", norm, DType::kF64, 1);
  // A large mean would cost digits in the products. What rounding the means leaves is the same for
  // all rows, and centring the Gram takes it away.
  Tensor products = Tensor::zeros({n, n}, DType::kF64, x.device());
  add_row_products(sub(x, mean(x, {0}, true)), products);
  packed.bump_version();
  norm.bump_version();
  on_device({kOp, {&products}, {&packed, &norm}},
            [&](auto) { return cuda::unit_gram(products, kind, packed, norm); });
}

}  // namespace kintsugi::ops
