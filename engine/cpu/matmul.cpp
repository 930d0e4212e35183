#include "kintsugi/engine/cpu/matmul.h"

#include "kintsugi/engine/cpu/simd/matmul.h"
#include "kintsugi/engine/cpu/workers.h"
#ifdef KINTSUGI_HAVE_ONEDNN
#include "kintsugi/engine/cpu/onednn.h"
#endif

namespace kintsugi::cpu {

namespace {

struct Matrix {
  const float* data;
  int64_t row, column;  // strides
};

// c (m,n), rows `c_row` apart, = a (m,k) * b (k,n) + bias.
struct Product {
  int64_t m, n, k;
  Matrix a, b;
  const float* bias;
  float* c;
  int64_t c_row;
};

// A batch of products whose operands lie at constant distances.
struct Batch {
  int64_t size, a, b, c;
};

int64_t rounded_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// --- our own product ---

constexpr int64_t kDepth = 256;  // rows of b at once: a tile's panel of it stays in the first cache
constexpr int64_t kWidth = 1024;  // columns of b at once: 1 MiB, in the second cache
constexpr int64_t kMacsAWorker = 1 << 17;

struct Block {
  int64_t depth, width;
  int64_t floats;  // of packed b
};

Block block_of(const Product& p, int64_t lanes) {
  const int64_t depth = std::min(p.k, kDepth), width = std::min(p.n, kWidth);
  return {depth, width, std::max<int64_t>(1, depth * rounded_up(width, lanes))};
}

// A row of b ends at the end of a vector, so tiles may read it where it is.
bool readable_in_place(const Product& p, int64_t lanes) {
  return p.b.column == 1 && p.n % lanes == 0;
}

// Rows [begin, end) of c: b's block from row `depth` and column `width` on is at `b`.
void rows_of_block(const Product& p, int64_t begin, int64_t end, int64_t p0, int64_t depth,
                   int64_t j0, int64_t width, const float* b, int64_t b_row) {
  const float* a = p.a.data + begin * p.a.row + p0 * p.a.column;
  float* c = p.c + begin * p.c_row + j0;
  bool accumulate = p0 > 0;
  if (p0 == 0 && p.bias) {
    for (int64_t i = 0; i < end - begin; ++i) {
      std::copy(p.bias + j0, p.bias + j0 + width, c + i * p.c_row);
    }
    accumulate = true;
  }
  matmul_kernels().product(end - begin, width, depth, a, p.a.row, p.a.column, b, b_row, c, p.c_row,
                           accumulate);
}

// `share` calls body(begin, end) over ranges of [0, n), in one thread or many.
template <class Share>
void own_product(const Product& p, float* packed, const Share& share) {
  const MatmulKernels& kernels = matmul_kernels();
  const Block block = block_of(p, kernels.lanes);
  const bool in_place = readable_in_place(p, kernels.lanes);
  for (int64_t j0 = 0; j0 < p.n; j0 += kWidth) {
    const int64_t width = std::min(block.width, p.n - j0);
    for (int64_t p0 = 0; p0 == 0 || p0 < p.k; p0 += kDepth) {
      const int64_t depth = std::min(block.depth, p.k - p0);
      const float* b = p.b.data + p0 * p.b.row + j0 * p.b.column;
      int64_t b_row = p.b.row;
      if (!in_place) {
        b_row = rounded_up(width, kernels.lanes);
        share(depth, 64, [&](int64_t begin, int64_t end) {
          kernels.pack(b + begin * p.b.row, p.b.row, p.b.column, end - begin, width,
                       packed + begin * b_row);
        });
        b = packed;
      }
      const int64_t grain =
          std::max<int64_t>(6, kMacsAWorker / std::max<int64_t>(1, width * depth));
      share(p.m, grain, [&](int64_t begin, int64_t end) {
        // Strips of rows keep a in the second cache while b's panels pass.
        constexpr int64_t kStrip = 96;
        for (int64_t i = begin; i < end; i += kStrip) {
          rows_of_block(p, i, std::min(end, i + kStrip), p0, depth, j0, width, b, b_row);
        }
      });
    }
  }
}

struct InParallel {
  template <class Body>
  void operator()(int64_t n, int64_t grain, const Body& body) const {
    parallel_for(n, grain, body);
  }
};

struct InOneThread {
  template <class Body>
  void operator()(int64_t n, int64_t, const Body& body) const {
    body(int64_t{0}, n);
  }
};

Product at(const Product& p, const Batch (&batch)[2], int64_t index) {
  const int64_t i = index / batch[1].size, j = index % batch[1].size;
  Product moved = p;
  moved.a.data += i * batch[0].a + j * batch[1].a;
  moved.b.data += i * batch[0].b + j * batch[1].b;
  moved.c += i * batch[0].c + j * batch[1].c;
  return moved;
}

void own_products(const Product& p, const Batch (&batch)[2]) {
  const int64_t lanes = matmul_kernels().lanes;
  const int64_t floats = readable_in_place(p, lanes) ? 1 : block_of(p, lanes).floats;
  const int64_t size = batch[0].size * batch[1].size;
  if (size < Context::current().threads()) {
    const Tensor packed = Tensor::empty({floats});
    for (int64_t i = 0; i < size; ++i) {
      own_product(at(p, batch, i), packed.data<float>(), InParallel{});
    }
    return;
  }
  const int workers = workers_for(size, kMacsAWorker / std::max<int64_t>(1, p.m * p.n * p.k));
  const Tensor packed = Tensor::empty({workers, floats});
  float* const room = packed.data<float>();
  for_workers(workers, size, [&](int worker, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      own_product(at(p, batch, i), room + worker * floats, InOneThread{});
    }
  });
}

// --- the choice ---

#ifdef KINTSUGI_HAVE_ONEDNN
// Multiply-adds below which a call of oneDNN costs more than it wins (measured on Zen 4): its
// products are faster where ours must pack b first.
constexpr int64_t kSmallProduct = 1 << 18, kSmallPackedProduct = 1 << 15;

// Strides of a plain or a transposed matrix; a stride along an extent of 1 may be anything.
bool plain(Matrix& x, int64_t rows, int64_t columns) {
  if (columns == 1)
    x.column = 1;
  else if (rows == 1)
    x.row = x.column == 1 ? columns : 1;
  if (x.column == 1) return x.row >= columns;
  return x.row == 1 && x.column >= rows;
}

bool onednn_products(Product p, const Batch (&batch)[2]) {
  const bool in_place = readable_in_place(p, matmul_kernels().lanes);
  const int64_t small = in_place ? kSmallProduct : kSmallPackedProduct;
  if (p.k == 0 || p.m * p.n * p.k < small) return false;
  if (!plain(p.a, p.m, p.k) || !plain(p.b, p.k, p.n)) return false;
  onednn::Matmul shape;
  shape.m = p.m;
  shape.n = p.n;
  shape.k = p.k;
  for (int i = 0; i < 2; ++i) {
    shape.batch[i] = batch[i].size;
    shape.a[i] = batch[i].a;
    shape.b[i] = batch[i].b;
    shape.c[i] = batch[i].c;
  }
  shape.a[2] = p.a.row;
  shape.a[3] = p.a.column;
  shape.b[2] = p.b.row;
  shape.b[3] = p.b.column;
  shape.c[2] = p.c_row;
  return onednn::matmul(shape, p.a.data, p.b.data, p.bias, p.c);
}
#endif

void products(const Product& p, const Batch (&batch)[2]) {
#ifdef KINTSUGI_HAVE_ONEDNN
  if (onednn_products(p, batch)) return;
#endif
  own_products(p, batch);
}

// One product of 2-D operands.
void product(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  const Batch once[2] = {{1, 0, 0, 0}, {1, 0, 0, 0}};
  products({y.size(0),
            y.size(1),
            a.size(1),
            {a.data<float>(), a.strides()[0], a.strides()[1]},
            {b.data<float>(), b.strides()[0], b.strides()[1]},
            bias.defined() ? bias.data<float>() : nullptr,
            y.data<float>(),
            y.strides()[0]},
           once);
}

// Batch dimensions of extent 1 left out, neighbours joined where every operand allows it.
int join(const Tensor& a, const Tensor& b, const Tensor& y, Batch (&dims)[kMaxRank]) {
  int count = 0;
  for (int i = 0; i < y.rank() - 2; ++i) {
    const Batch next{y.size(i), a.strides()[i], b.strides()[i], y.strides()[i]};
    if (next.size == 1) continue;
    if (count > 0) {
      Batch& last = dims[count - 1];
      if (last.a == next.a * next.size && last.b == next.b * next.size &&
          last.c == next.c * next.size) {
        last = {last.size * next.size, next.a, next.b, next.c};
        continue;
      }
    }
    dims[count++] = next;
  }
  return count;
}

void each(const Product& p, const Batch* dims, int count) {
  if (count <= 2) {
    const Batch once{1, 0, 0, 0};
    const Batch batch[2] = {count > 1 ? dims[0] : once, count > 0 ? dims[count - 1] : once};
    return products(p, batch);
  }
  for (int64_t i = 0; i < dims[0].size; ++i) {
    Product moved = p;
    moved.a.data += i * dims[0].a;
    moved.b.data += i * dims[0].b;
    moved.c += i * dims[0].c;
    each(moved, dims + 1, count - 1);
  }
}

}  // namespace

bool matmul(const Tensor& a, const Tensor& b, const Tensor& y) {
  if (y.dtype() != DType::kF32) return false;
  if (y.numel() == 0) return true;
  Batch dims[kMaxRank];
  int count = join(a, b, y, dims);
  Product p{y.size(-2),
            y.size(-1),
            a.size(-1),
            {a.data<float>(), a.strides()[-2], a.strides()[-1]},
            {b.data<float>(), b.strides()[-2], b.strides()[-1]},
            nullptr,
            y.data<float>(),
            y.strides()[-2]};
  if (p.m == 1) {
    p.c_row = p.n;
    if (count > 0) p.a.row = dims[count - 1].a;
  }
  // A matrix that serves the whole batch: the batch is only more rows.
  if (count > 0) {
    const Batch& last = dims[count - 1];
    if (last.b == 0 && last.a == p.m * p.a.row && last.c == p.m * p.c_row) {
      p.m *= last.size;
      --count;
    }
  }
  each(p, dims, count);
  return true;
}

bool linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y) {
  if (y.dtype() != DType::kF32) return false;
  if (y.numel() > 0) product(x, weight.transpose(0, 1), bias, y);
  return true;
}

bool linear_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& dx,
                     const Tensor& dweight, const Tensor& dbias) {
  if (dy.dtype() != DType::kF32) return false;
  if (dx.defined() && dx.numel() > 0) product(dy, weight, {}, dx);
  if (dweight.defined() && dweight.numel() > 0) product(dy.transpose(0, 1), x, {}, dweight);
  if (!dbias.defined()) return true;
  const int64_t rows = dy.size(0), columns = dy.size(1);
  const int workers = workers_for(rows, (1 << 15) / std::max<int64_t>(1, columns));
  const Tensor partial = Tensor::zeros({workers, columns}, DType::kF64);
  double* const sums = partial.data<double>();
  const float* grad = dy.data<float>();
  const int64_t stride = dy.strides()[0];
  for_workers(workers, rows, [&](int worker, int64_t begin, int64_t end) {
    matmul_kernels().column_sums(grad + begin * stride, stride, end - begin, columns,
                                 sums + worker * columns);
  });
  for (int64_t j = 0; j < columns; ++j) {
    double sum = 0;
    for (int w = 0; w < workers; ++w) sum += sums[w * columns + j];
    dbias.data<float>()[j] = float(sum);
  }
  return true;
}

}  // namespace kintsugi::cpu
