#include "kintsugi/engine/cuda/reduce.h"

#include <limits>

#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/columns.h"
#include "kintsugi/engine/cuda/walk.h"

namespace kintsugi::cuda {

namespace {

using ops::Reduce;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What a reduction holds of each group of elements. `held` is the group's element of a second
// tensor, `at` the element's place among those that are reduced.
struct Sum {
  using Acc = double;
  using Out = float;
  double scale;
  __device__ __forceinline__ Acc none() const { return 0; }
  __device__ __forceinline__ void take(Acc& acc, float value, int64_t, float) const {
    acc += double(value);
  }
  __device__ __forceinline__ Acc merge(Acc a, Acc b) const { return a + b; }
  __device__ __forceinline__ Out result(Acc acc) const { return float(acc * scale); }
};

template <class Better>
struct Extremum {
  using Acc = float;
  using Out = float;
  float first;
  __device__ __forceinline__ Acc none() const { return first; }
  __device__ __forceinline__ void take(Acc& acc, float value, int64_t, float) const {
    acc = Better()(acc, value);
  }
  __device__ __forceinline__ Acc merge(Acc a, Acc b) const { return Better()(a, b); }
  __device__ __forceinline__ Out result(Acc acc) const { return acc; }
};

// How many elements equal the group's extremum.
struct Ties {
  using Acc = int64_t;
  using Out = float;
  __device__ __forceinline__ Acc none() const { return 0; }
  __device__ __forceinline__ void take(Acc& acc, float value, int64_t, float held) const {
    acc += value == held;
  }
  __device__ __forceinline__ Acc merge(Acc a, Acc b) const { return a + b; }
  __device__ __forceinline__ Out result(Acc acc) const { return float(acc); }
};

struct Place {
  float value;
  int64_t index;
};

// The first of the largest; NaN is larger than all.
struct First {
  using Acc = Place;
  using Out = int64_t;
  __device__ __forceinline__ Acc none() const { return {-kInfinity, INT64_MAX}; }
  __device__ __forceinline__ void take(Acc& acc, float value, int64_t at, float) const {
    acc = merge(acc, {value, at});
  }
  __device__ __forceinline__ Acc merge(Acc a, Acc b) const {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a.value == b.value || (a_nan && b_nan)) return a.index < b.index ? a : b;
    return a_nan || (!b_nan && a.value > b.value) ? a : b;
  }
  __device__ __forceinline__ Out result(Acc acc) const { return acc.index; }
};

template <class T>
__device__ __forceinline__ T across(T value, int bits) {
  return __shfl_xor_sync(kAllLanes, value, bits);
}
__device__ __forceinline__ Place across(Place p, int bits) {
  return {__shfl_xor_sync(kAllLanes, p.value, bits), __shfl_xor_sync(kAllLanes, p.index, bits)};
}

// Some dimensions of x, from the outermost; y is the result, and `held` lies as it does.
struct Axes {
  int rank = 0;
  int64_t count = 1;
  int64_t extent[kMaxRank] = {};
  int64_t x[kMaxRank] = {}, y[kMaxRank] = {};

  void add(int64_t n, int64_t x_step, int64_t y_step) {
    extent[rank] = n;
    x[rank] = x_step;
    y[rank++] = y_step;
    count *= n;
  }
  __device__ __forceinline__ int64_t at(int64_t i, const int64_t (&step)[kMaxRank]) const {
    int64_t offset = 0;
    for (int d = rank - 1; d > 0; --d) {
      const int64_t outer = i / extent[d];
      offset += (i - outer * extent[d]) * step[d];
      i = outer;
    }
    return rank == 0 ? 0 : offset + i * step[0];
  }
};

// The results are kept.count; each reduces reduced.count elements, in `parts` of `chunk`.
struct Plan {
  Axes kept, reduced;
  int64_t parts = 1, chunk = 0;
};

template <class Op, class V>
__device__ __forceinline__ void take(const Op& op, typename Op::Acc& acc, const V& v, int64_t at,
                                     float held) {
  if constexpr (std::is_same_v<V, float4>) {
    op.take(acc, v.x, 4 * at, held);
    op.take(acc, v.y, 4 * at + 1, held);
    op.take(acc, v.z, 4 * at + 2, held);
    op.take(acc, v.w, 4 * at + 3, held);
  } else {
    op.take(acc, v, at, held);
  }
}

// Elements `from`, `from + step` ... before `end` of those reduced: four loads are on their way
// before the first is used.
template <class Op, class V>
__device__ __forceinline__ typename Op::Acc reduce_run(const Op& op, const Axes& reduced,
                                                       const V* x, int64_t from, int64_t end,
                                                       int64_t step, float held) {
  typename Op::Acc acc = op.none();
  int64_t r = from;
  for (; r + 3 * step < end; r += 4 * step) {
    V v[4];
    for (int k = 0; k < 4; ++k) v[k] = x[reduced.at(r + k * step, reduced.x)];
    for (int k = 0; k < 4; ++k) take(op, acc, v[k], r + k * step, held);
  }
  for (; r < end; r += step) take(op, acc, x[reduced.at(r, reduced.x)], r, held);
  return acc;
}

template <class Op>
__device__ __forceinline__ void put(const Op& op, const Plan& plan, int64_t o, int64_t part,
                                    const typename Op::Acc& acc, typename Op::Acc* partial,
                                    typename Op::Out* y) {
  if (plan.parts > 1)
    partial[o * plan.parts + part] = acc;
  else
    y[plan.kept.at(o, plan.kept.y)] = op.result(acc);
}

// Neighbouring threads have neighbouring elements of one result: `lanes` of them, a power of two,
// or the whole block.
template <class Op, class V>
__global__ void reduce_rows(Plan plan, Op op, int lanes, const V* x, const float* held,
                            typename Op::Acc* partial, typename Op::Out* y) {
  using Acc = typename Op::Acc;
  const bool block = lanes > 32;
  const int lane = int(threadIdx.x) % lanes, groups = int(blockDim.x) / lanes;
  const int64_t total = plan.kept.count * plan.parts;
  for (int64_t first = int64_t(blockIdx.x) * groups; first < total;
       first += int64_t(gridDim.x) * groups) {
    const int64_t group = first + int(threadIdx.x) / lanes;
    const int64_t o = group / plan.parts, part = group - o * plan.parts;
    Acc acc = op.none();
    if (group < total) {
      const int64_t end = part + 1 == plan.parts ? plan.reduced.count : (part + 1) * plan.chunk;
      const float reference = held ? held[plan.kept.at(o, plan.kept.y)] : 0;
      acc = reduce_run(op, plan.reduced, x + plan.kept.at(o, plan.kept.x), part * plan.chunk + lane,
                       end, lanes, reference);
    }
    for (int bits = (block ? 32 : lanes) / 2; bits > 0; bits /= 2) {
      acc = op.merge(acc, across(acc, bits));
    }
    if (block) {
      Acc* shared = dynamic_shared<Acc>();
      __syncthreads();  // it may still be read for the last group
      if (lane % 32 == 0) shared[lane / 32] = acc;
      __syncthreads();
      for (int w = 1; lane == 0 && w < int(blockDim.x) / 32; ++w) acc = op.merge(acc, shared[w]);
    }
    if (lane == 0 && group < total) put(op, plan, o, part, acc, partial, y);
  }
}

// Neighbouring threads have neighbouring results.
template <class Op>
__global__ void reduce_columns(Plan plan, Op op, Columns columns, const float* x, const float* held,
                               typename Op::Acc* partial, typename Op::Out* y) {
  using Acc = typename Op::Acc;
  Acc* shared = dynamic_shared<Acc>();
  const int column = columns.column(), row = columns.row();
  for (int64_t b = blockIdx.x; b < columns.tiles * plan.parts; b += gridDim.x) {
    const int64_t part = b / columns.tiles;
    const int64_t o = (b - part * columns.tiles) * columns.width + column;
    const bool mine = row < columns.rows && o < plan.kept.count;
    Acc acc = op.none();
    if (mine) {
      const int64_t end = part + 1 == plan.parts ? plan.reduced.count : (part + 1) * plan.chunk;
      const float reference = held ? held[plan.kept.at(o, plan.kept.y)] : 0;
      acc = reduce_run(op, plan.reduced, x + plan.kept.at(o, plan.kept.x), part * plan.chunk + row,
                       end, columns.rows, reference);
    }
    if (columns.rows > 1) {
      __syncthreads();  // it may still be read for the last tile
      shared[threadIdx.x] = acc;
      merge_rows(row, columns.rows, [&](int to, int from) {
        Acc& sum = shared[to * columns.width + column];
        sum = op.merge(sum, shared[from * columns.width + column]);
      });
      acc = shared[threadIdx.x];
    }
    if (mine && row == 0) put(op, plan, o, part, acc, partial, y);
  }
}

// A warp a result.
template <class Op>
__global__ void merge_parts(Plan plan, Op op, const typename Op::Acc* partial,
                            typename Op::Out* y) {
  const int lane = int(threadIdx.x) % 32;
  for (int64_t o = grid_first() / 32; o < plan.kept.count; o += grid_step() / 32) {
    typename Op::Acc acc = op.none();
    for (int64_t p = lane; p < plan.parts; p += 32) {
      acc = op.merge(acc, partial[o * plan.parts + p]);
    }
    for (int bits = 16; bits > 0; bits /= 2) acc = op.merge(acc, across(acc, bits));
    if (lane == 0) y[plan.kept.at(o, plan.kept.y)] = op.result(acc);
  }
}

Tensor partials(Plan& plan, size_t size, const Tensor& x) {
  plan.chunk = (plan.reduced.count + plan.parts - 1) / plan.parts;
  plan.parts = std::max<int64_t>(1, (plan.reduced.count + plan.chunk - 1) / plan.chunk);
  if (plan.parts == 1) return {};
  return Tensor::empty({plan.kept.count * plan.parts * int64_t(size)}, DType::kU8, x.device());
}

template <class Op, class V>
void run_rows(const char* name, Plan plan, const Op& op, const Tensor& x, const Tensor& held,
              const Tensor& y) {
  using Acc = typename Op::Acc;
  const int64_t n = plan.reduced.count, outputs = plan.kept.count;
  int lanes = 1;
  while (lanes < 32 && (lanes < n / 4 || (lanes < 8 && lanes < n))) lanes *= 2;
  if (n >= 16 * 32 && (n >= 16 * kThreads || outputs < 1024)) lanes = kThreads;
  if (lanes == kThreads) plan.parts = parts_for(n, kThreads, outputs);
  const Tensor partial = partials(plan, sizeof(Acc), x);
  const int groups = kThreads / lanes;
  launch(name, reduce_rows<Op, V>, blocks_for(outputs * plan.parts, groups), kThreads,
         lanes > 32 ? kThreads / 32 * sizeof(Acc) : 0, plan, op, lanes,
         reinterpret_cast<const V*>(pointer<float>(x)), pointer<float>(held),
         reinterpret_cast<Acc*>(pointer<uint8_t>(partial)), pointer<typename Op::Out>(y));
  if (plan.parts == 1) return;
  launch(name, merge_parts<Op>, blocks_for(outputs, kThreads / 32), kThreads, 0, plan, op,
         reinterpret_cast<const Acc*>(pointer<uint8_t>(partial)), pointer<typename Op::Out>(y));
}

template <class Op>
void run_columns(const char* name, Plan plan, const Op& op, const Tensor& x, const Tensor& held,
                 const Tensor& y) {
  using Acc = typename Op::Acc;
  // As wide as the results that are neighbours in memory; the tiles cover all results.
  Columns columns(plan.kept.extent[plan.kept.rank - 1]);
  if (plan.kept.x[plan.kept.rank - 1] != 1) columns = Columns(plan.kept.count, 32);
  columns.tiles = (plan.kept.count + columns.width - 1) / columns.width;
  if (plan.reduced.count < 2 * columns.rows) columns = Columns(plan.kept.count);
  plan.parts = parts_for(plan.reduced.count, columns.rows, columns.tiles);
  const Tensor partial = partials(plan, sizeof(Acc), x);
  launch(name, reduce_columns<Op>, blocks_for(columns.tiles * plan.parts, 1), columns.threads,
         columns.rows > 1 ? size_t(columns.threads) * sizeof(Acc) : 0, plan, op, columns,
         pointer<float>(x), pointer<float>(held), reinterpret_cast<Acc*>(pointer<uint8_t>(partial)),
         pointer<typename Op::Out>(y));
  if (plan.parts == 1) return;
  launch(name, merge_parts<Op>, blocks_for(plan.kept.count, kThreads / 32), kThreads, 0, plan, op,
         reinterpret_cast<const Acc*>(pointer<uint8_t>(partial)), pointer<typename Op::Out>(y));
}

// Elements in fours: every run of the innermost dimension is whole and aligned. Strides become
// those of float4.
bool in_fours(Plan& plan, const Tensor& x) {
  Axes &kept = plan.kept, &reduced = plan.reduced;
  const int last = reduced.rank - 1;
  if (last < 0 || reduced.x[last] != 1 || reduced.extent[last] % 4 != 0) return false;
  if (reinterpret_cast<uintptr_t>(x.address()) % 16 != 0) return false;
  for (int d = 0; d < kept.rank; ++d) {
    if (kept.x[d] % 4 != 0) return false;
  }
  for (int d = 0; d < last; ++d) {
    if (reduced.x[d] % 4 != 0) return false;
  }
  for (int64_t& step : kept.x) step /= 4;
  for (int64_t& step : reduced.x) step /= 4;
  reduced.x[last] = 1;
  reduced.extent[last] /= 4;
  reduced.count /= 4;
  return true;
}

// y is dense (its strides are 0 only where x is reduced), x and y have elements; `held` lies as y.
template <class Op>
void run(const char* name, const Op& op, const Tensor& x, const Tensor& held, const Tensor& y) {
  const detail::Loop<2> loop = detail::make_loop<2>({&x, &y});
  Plan plan;
  bool rows = true;
  for (size_t d = 0; d < size_t(loop.rank); ++d) {
    if (loop.extent[d] == 1) continue;
    rows = loop.stride[1][d] == 0;
    (rows ? plan.reduced : plan.kept).add(loop.extent[d], loop.stride[0][d], loop.stride[1][d]);
  }
  if (!rows)
    run_columns(name, plan, op, x, held, y);
  else if (in_fours(plan, x))
    run_rows<Op, float4>(name, plan, op, x, held, y);
  else
    run_rows<Op, float>(name, plan, op, x, held, y);
}

// Operand 2 stands for y, dy and the ties.
__global__ void extremum_backward_kernel(Walk<3> walk, const float* x, const float* y,
                                         const float* dy, const float* ties, float* dx) {
  for (int64_t i = grid_first(); i < walk.total; i += grid_step()) {
    int64_t at[3];
    walk.at(i, at);
    dx[at[0]] = x[at[1]] == y[at[2]] ? dy[at[2]] / ties[at[2]] : 0;
  }
}

}  // namespace

bool reduce(Reduce op, const Tensor& x, Tensor& y) {
  if (x.dtype() != DType::kF32) return false;
  if (y.numel() == 0) return true;
  if (x.numel() == 0) {
    y.fill(0);
    return true;
  }
  switch (op) {
    case Reduce::kSum:
      run("sum", Sum{1}, x, {}, y);
      break;
    case Reduce::kMean:
      run("mean", Sum{double(y.numel()) / double(x.numel())}, x, {}, y);
      break;
    case Reduce::kMax:
      run("max", Extremum<Largest>{-kInfinity}, x, {}, y);
      break;
    case Reduce::kMin:
      run("min", Extremum<Smallest>{kInfinity}, x, {}, y);
      break;
  }
  return true;
}

bool extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx) {
  constexpr const char* kOp = "extremum_backward";
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) return true;
  const Tensor value = y.contiguous(), diff = dy.contiguous();
  const Tensor ties = Tensor::empty(y.shape(), DType::kF32, x.device());
  run(kOp, Ties{}, x, value, ties);
  const Walk<3> walk({&dx, &x, &value});
  launch(kOp, extremum_backward_kernel, blocks_for(walk.total), kThreads, 0, walk,
         pointer<float>(x), pointer<float>(value), pointer<float>(diff), pointer<float>(ties),
         pointer<float>(dx));
  return true;
}

bool argmax(const Tensor& x, int dim, Tensor& y) {
  if (x.dtype() != DType::kF32) return false;
  if (y.numel() == 0) return true;
  run("argmax", First{}, x, {}, y.unsqueeze(dim));
  return true;
}

}  // namespace kintsugi::cuda
