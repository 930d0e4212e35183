#include "kintsugi/engine/cuda/matmul.h"

#include "kintsugi/engine/cuda/blas.h"
#include "kintsugi/engine/cuda/elementwise.h"
#include "kintsugi/engine/cuda/launch.h"
#include "kintsugi/engine/cuda/reduce.h"

namespace kintsugi::cuda {

namespace {

// Each product of a batch that has no regular distances is a call; more of them cost more than a
// copy.
constexpr int64_t kMaxCalls = 16;

// How BLAS reads a matrix: rows `row` apart, perhaps transposed.
struct Layout {
  bool fits = false, transposed = false;
  int64_t row = 0;
};

Layout layout_of(const Tensor& x) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t row = x.strides()[-2], column = x.strides()[-1];
  if ((column == 1 || columns == 1) && (row >= columns || rows == 1)) {
    return {true, false, rows == 1 ? columns : row};
  }
  if ((row == 1 || rows == 1) && (column >= rows || columns == 1)) {
    return {true, true, columns == 1 ? rows : column};
  }
  return {};
}

void* element(const Tensor& x, int64_t index) {
  return pointer<std::byte>(x) + index * int64_t(size_of(x.dtype()));
}

bool takes(const Tensor& x) {
  return x.dtype() == DType::kF32 || x.dtype() == DType::kBF16;
}

// The leading dimensions of three tensors, the innermost first, joined where the distances allow.
struct Batch {
  struct Dim {
    int64_t size, a, b, y;
  };
  std::vector<Dim> dims;

  Batch(const Tensor& a, const Tensor& b, const Tensor& y) {
    for (int i = y.rank() - 3; i >= 0; --i) {
      const Dim next{y.size(i), a.strides()[i], b.strides()[i], y.strides()[i]};
      if (next.size == 1) continue;
      if (!dims.empty()) {
        Dim& last = dims.back();
        if (next.a == last.a * last.size && next.b == last.b * last.size &&
            next.y == last.y * last.size) {
          last.size *= next.size;
          continue;
        }
      }
      dims.push_back(next);
    }
  }
};

// y = a b (+ bias), or with relu max(0, .) of it, for any strides of a and b, which have one dtype;
// y is contiguous.
void product(const char* op, const Tensor& a, const Tensor& b, const Tensor& y,
             const Tensor& bias = {}, bool relu = false) {
  if (y.numel() == 0) return;
  if (a.size(-1) == 0) {
    if (bias.defined())
      Tensor(y).copy_from(bias.expand(y.shape()));
    else
      Tensor(y).fill(0);
    Tensor out = y;
    if (relu) unary(ops::Unary::kRelu, y, out);
    return;
  }
  const Layout left = layout_of(a), right = layout_of(b);
  if (!left.fits) return product(op, a.contiguous(), b, y, bias, relu);
  if (!right.fits) return product(op, a, b.contiguous(), y, bias, relu);

  Gemm g;
  g.m = y.size(-2);
  g.n = y.size(-1);
  g.k = a.size(-1);
  g.a_row = left.row;
  g.b_row = right.row;
  g.y_row = g.n;
  g.a_transposed = left.transposed;
  g.b_transposed = right.transposed;
  g.operands = a.dtype();
  g.result = y.dtype();
  g.bias = pointer<void>(bias);
  g.relu = relu;
  std::vector<Batch::Dim> dims = Batch(a, b, y).dims;
  // One b for all rows of the innermost batch: one taller product.
  if (!dims.empty() && dims[0].b == 0 && !g.a_transposed && dims[0].y == g.m * g.n) {
    const int64_t row = g.m == 1 ? dims[0].a : g.a_row;
    if (row >= g.k && dims[0].a == g.m * row) {
      g.a_row = row;
      g.m *= dims[0].size;
      dims.erase(dims.begin());
    }
  }
  if (!dims.empty()) {
    const auto largest = std::max_element(
        dims.begin(), dims.end(), [](const auto& p, const auto& q) { return p.size < q.size; });
    g.batch = largest->size;
    g.a_step = largest->a;
    g.b_step = largest->b;
    g.y_step = largest->y;
    dims.erase(largest);
  }
  int64_t calls = 1;
  for (const auto& dim : dims) calls *= dim.size;
  if (calls > kMaxCalls && !(a.is_contiguous() && b.is_contiguous())) {
    return product(op, a.contiguous(), b.contiguous(), y, bias, relu);
  }
  for (int64_t i = 0; i < calls; ++i) {
    int64_t rest = i, at_a = 0, at_b = 0, at_y = 0;
    for (const auto& dim : dims) {
      const int64_t index = rest % dim.size;
      rest /= dim.size;
      at_a += index * dim.a;
      at_b += index * dim.b;
      at_y += index * dim.y;
    }
    g.a = element(a, at_a);
    g.b = element(b, at_b);
    g.y = element(y, at_y);
    gemm(op, g);
  }
}

}  // namespace

bool matmul(const Tensor& a, const Tensor& b, const Tensor& y) {
  if (!takes(y)) return false;
  product("matmul", a, b, y);
  return true;
}

bool linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y,
            bool relu) {
  if (!takes(y)) return false;
  product("linear", x, weight.to(x.dtype()).transpose(0, 1), y,
          bias.defined() ? bias.contiguous().to(y.dtype()) : bias, relu);
  return true;
}

bool linear_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& dx,
                     const Tensor& dweight, const Tensor& dbias) {
  constexpr const char* kOp = "linear_backward";
  if (!takes(dy)) return false;
  // Read up to three times: put in order once.
  const Tensor grad = dy.numel() == 0 || layout_of(dy).fits ? dy : dy.contiguous();
  if (dx.defined()) product(kOp, grad, weight.to(dy.dtype()), dx);
  if (dweight.defined()) product(kOp, grad.transpose(0, 1), x, dweight);
  if (!dbias.defined()) return true;
  Tensor sums = dbias.view({1, dbias.numel()});
  return reduce(ops::Reduce::kSum, grad, sums);
}

}  // namespace kintsugi::cuda
