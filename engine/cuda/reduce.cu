#include "kintsugi/engine/cuda/reduce.h"

#include <cmath>
#include <limits>

#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/columns.h"
#include "kintsugi/engine/cuda/vector.h"
#include "kintsugi/engine/cuda/walk.h"

namespace kintsugi::cuda {

namespace {

using ops::Reduce;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What a reduction holds of each group of elements. It takes M of them at once, at places `at`,
// `at + step` ... among those that are reduced; an element like `fill` in a place behind the others
// changes nothing. `held` is the group's element of a second tensor.
template <class Y>
struct Sum {
  using Acc = double;
  using Out = Y;
  double scale;
  __device__ __forceinline__ Acc none() const { return 0; }
  __device__ __forceinline__ float fill() const { return 0; }
  template <int M>
  __device__ __forceinline__ void take(Acc& acc, const Floats<M>& v, int64_t, int64_t,
                                       float) const {
    acc += double(sum_of(v));
  }
  __device__ __forceinline__ Acc merge(Acc a, Acc b) const { return a + b; }
  __device__ __forceinline__ Out result(Acc acc) const { return narrow<Y>(float(acc * scale)); }
};

template <class Better, class Y>
struct Extremum {
  using Acc = float;
  using Out = Y;
  float first;
  __device__ __forceinline__ Acc none() const { return first; }
  __device__ __forceinline__ float fill() const { return first; }
  template <int M>
  __device__ __forceinline__ void take(Acc& acc, const Floats<M>& v, int64_t, int64_t,
                                       float) const {
    KINTSUGI_UNROLL
    for (int k = 0; k < M; ++k) acc = Better()(acc, v.at[k]);
  }
  __device__ __forceinline__ Acc merge(Acc a, Acc b) const { return Better()(a, b); }
  __device__ __forceinline__ Out result(Acc acc) const { return narrow<Y>(acc); }
};

// How many elements equal the group's extremum.
struct Ties {
  using Acc = int64_t;
  using Out = float;
  __device__ __forceinline__ Acc none() const { return 0; }
  __device__ __forceinline__ float fill() const { return NAN; }
  template <int M>
  __device__ __forceinline__ void take(Acc& acc, const Floats<M>& v, int64_t, int64_t,
                                       float held) const {
    int count = 0;
    KINTSUGI_UNROLL
    for (int k = 0; k < M; ++k) count += v.at[k] == held;
    acc += count;
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
  __device__ __forceinline__ float fill() const { return -kInfinity; }
  template <int M>
  __device__ __forceinline__ void take(Acc& acc, const Floats<M>& v, int64_t at, int64_t step,
                                       float) const {
    KINTSUGI_UNROLL
    for (int k = 0; k < M; ++k) acc = merge(acc, {v.at[k], at + k * step});
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
  Divisor by[kMaxRank];  // of the extents, where they are below 2^31

  void add(int64_t n, int64_t x_step, int64_t y_step) {
    extent[rank] = n;
    if (n < int64_t{1} << 31) by[rank] = Divisor(n);
    x[rank] = x_step;
    y[rank++] = y_step;
    count *= n;
  }
  __device__ __forceinline__ int64_t at(int64_t i, const int64_t (&step)[kMaxRank]) const {
    int64_t offset = 0;
    const bool small = count < int64_t{1} << 31;
    KINTSUGI_NO_UNROLL
    for (int d = rank - 1; d > 0; --d) {
      const int64_t outer = small ? by[d].quotient(uint32_t(i)) : i / extent[d];
      offset += (i - outer * extent[d]) * step[d];
      i = outer;
    }
    return offset + i * step[0];
  }
};

// The results are kept.count; each reduces reduced.count elements, in `parts` of `chunk`.
struct Plan {
  Axes kept, reduced;
  int64_t parts = 1, chunk = 0;
};

// N neighbours in each of kRun places r, r + step ... of those reduced, `fill` behind the end: all
// are on their way before the first is used.
template <int kRun, int N, class T>
__device__ __forceinline__ void load_run(const Axes& reduced, const T* x, int64_t r, int64_t end,
                                         int64_t step, float fill, Vector<T, N> (&to)[kRun]) {
  const auto run = [&](const auto& offset) {
    KINTSUGI_UNROLL
    for (int k = 0; k < kRun; ++k) {
      KINTSUGI_UNROLL
      for (int e = 0; e < N; ++e) to[k].at[e] = narrow<T>(fill);
      const int64_t at = r + k * step;
      if (at < end) to[k] = load<N>(x + offset(at));
    }
  };
  if (reduced.rank <= 1)
    run([&](int64_t at) { return at * reduced.x[0]; });
  else
    run([&](int64_t at) { return reduced.at(at, reduced.x); });
}

// Result o lies at `at`.
template <class Op>
__device__ __forceinline__ void put(const Op& op, const Plan& plan, int64_t o, int64_t part,
                                    const typename Op::Acc& acc, int64_t at,
                                    typename Op::Acc* partial, typename Op::Out* y) {
  if (plan.parts > 1)
    partial[o * plan.parts + part] = acc;
  else
    y[at] = op.result(acc);
}

// Neighbouring threads have neighbouring elements of one result, N each: `lanes` of them, a power
// of two, or the whole block.
template <class Op, class T, int N>
__global__ void reduce_rows(Plan plan, Op op, int lanes, const T* x, const T* held,
                            typename Op::Acc* partial, typename Op::Out* y) {
  using Acc = typename Op::Acc;
  constexpr int kRun = 4;
  const bool block = lanes > 32;
  const int lane = int(threadIdx.x) % lanes, groups = int(blockDim.x) / lanes;
  const int64_t total = plan.kept.count * plan.parts, step = lanes * N;
  for (int64_t first = int64_t(blockIdx.x) * groups; first < total;
       first += int64_t(gridDim.x) * groups) {
    const int64_t group = first + int(threadIdx.x) / lanes;
    const int64_t o = group / plan.parts, part = group - o * plan.parts;
    Acc acc = op.none();
    if (group < total) {
      const int64_t end = part + 1 == plan.parts ? plan.reduced.count : (part + 1) * plan.chunk;
      const float reference = held ? widen(held[plan.kept.at(o, plan.kept.y)]) : 0;
      const T* from = x + plan.kept.at(o, plan.kept.x);
      for (int64_t r = part * plan.chunk + lane * N; r < end; r += kRun * step) {
        Vector<T, N> v[kRun];
        load_run(plan.reduced, from, r, end, step, op.fill(), v);
        KINTSUGI_UNROLL
        for (int k = 0; k < kRun; ++k) op.take(acc, widen(v[k]), r + k * step, 1, reference);
      }
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
    if (lane == 0 && group < total) {
      put(op, plan, o, part, acc, plan.kept.at(o, plan.kept.y), partial, y);
    }
  }
}

// Neighbouring threads have neighbouring results, N each.
template <class Op, class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    reduce_columns(Plan plan, Op op, Columns columns, const T* x, const T* held,
                   typename Op::Acc* partial, typename Op::Out* y) {
  using Acc = typename Op::Acc;
  constexpr int kRun = 8;
  Acc* shared = dynamic_shared<Acc>();
  const int column = columns.column(), row = columns.row(), threads = int(blockDim.x);
  const int64_t across = plan.kept.y[plan.kept.rank - 1];  // from a result to its neighbour
  for (int64_t b = blockIdx.x; b < columns.tiles * plan.parts; b += gridDim.x) {
    const int64_t part = b / columns.tiles;
    const int64_t o = ((b - part * columns.tiles) * columns.width + column) * N;
    const bool mine = row < columns.rows && o < plan.kept.count;
    Acc acc[N];
    KINTSUGI_UNROLL
    for (int e = 0; e < N; ++e) acc[e] = op.none();
    if (mine) {
      const int64_t end = part + 1 == plan.parts ? plan.reduced.count : (part + 1) * plan.chunk;
      const T* from = x + plan.kept.at(o, plan.kept.x);
      float reference[N] = {};
      if (held) {
        const int64_t at = plan.kept.at(o, plan.kept.y);
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) reference[e] = widen(held[at + e * across]);
      }
      for (int64_t r = part * plan.chunk + row; r < end; r += kRun * columns.rows) {
        Vector<T, N> v[kRun];
        load_run(plan.reduced, from, r, end, columns.rows, op.fill(), v);
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          Floats<kRun> run;
          KINTSUGI_UNROLL
          for (int k = 0; k < kRun; ++k) run.at[k] = widen(v[k].at[e]);
          op.take(acc[e], run, r, columns.rows, reference[e]);
        }
      }
    }
    if (columns.rows > 1) {
      __syncthreads();  // it may still be read for the last tile
      KINTSUGI_UNROLL
      for (int e = 0; e < N; ++e) shared[e * threads + int(threadIdx.x)] = acc[e];
      merge_rows(row, columns.rows, [&](int to, int from) {
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          Acc& sum = shared[e * threads + to * columns.width + column];
          sum = op.merge(sum, shared[e * threads + from * columns.width + column]);
        }
      });
      KINTSUGI_UNROLL
      for (int e = 0; e < N; ++e) acc[e] = shared[e * threads + int(threadIdx.x)];
    }
    if (!mine || row != 0) continue;
    const int64_t at = plan.kept.at(o, plan.kept.y);
    KINTSUGI_UNROLL
    for (int e = 0; e < N; ++e) {
      put(op, plan, o + e, part, acc[e], at + e * across, partial, y);
    }
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

template <class Op>
void merge(const char* name, const Plan& plan, const Op& op, const Tensor& partial,
           const Tensor& y) {
  if (plan.parts == 1) return;
  launch(name, merge_parts<Op>, blocks_for(plan.kept.count, kThreads / 32), kThreads, 0, plan, op,
         reinterpret_cast<const typename Op::Acc*>(pointer<uint8_t>(partial)),
         pointer<typename Op::Out>(y));
}

// Memory for the parts' results; a part is whole groups of `width` elements.
Tensor partials(Plan& plan, int width, size_t size, const Tensor& x) {
  const int64_t groups = plan.reduced.count / width, each = (groups + plan.parts - 1) / plan.parts;
  plan.chunk = each * width;
  plan.parts = std::max<int64_t>(1, (groups + each - 1) / each);
  if (plan.parts == 1) return {};
  return Tensor::empty({plan.kept.count * plan.parts * int64_t(size)}, DType::kU8, x.device());
}

template <int N, class T, class Op>
void run_rows(const char* name, Plan plan, const Op& op, const Tensor& x, const Tensor& held,
              const Tensor& y) {
  using Acc = typename Op::Acc;
  const int64_t n = plan.reduced.count / N, outputs = plan.kept.count;
  int lanes = 1;
  while (lanes < 32 && (lanes < n / 4 || (lanes < 8 && lanes < n))) lanes *= 2;
  if (n >= 16 * 32 && (n >= 16 * kThreads || outputs < 8192)) lanes = kThreads;
  if (lanes == kThreads) plan.parts = parts_for(n, kThreads, outputs);
  const Tensor partial = partials(plan, N, sizeof(Acc), x);
  const int groups = kThreads / lanes;
  launch(name, reduce_rows<Op, T, N>, blocks_for(outputs * plan.parts, groups), kThreads,
         lanes > 32 ? kThreads / 32 * sizeof(Acc) : 0, plan, op, lanes, pointer<T>(x),
         pointer<T>(held), reinterpret_cast<Acc*>(pointer<uint8_t>(partial)),
         pointer<typename Op::Out>(y));
  merge(name, plan, op, partial, y);
}

template <int N, class T, class Op>
void run_columns(const char* name, Plan plan, const Op& op, const Tensor& x, const Tensor& held,
                 const Tensor& y) {
  using Acc = typename Op::Acc;
  // As wide as the results that are neighbours in memory; the tiles cover all results.
  const int last = plan.kept.rank - 1;
  const int64_t all = plan.kept.count / N;
  Columns columns(plan.kept.x[last] == 1 ? plan.kept.extent[last] / N : all, 32);
  columns.tiles = (all + columns.width - 1) / columns.width;
  if (plan.reduced.count < 2 * columns.rows) columns = Columns(all);
  plan.parts = parts_for(plan.reduced.count, columns.rows, columns.tiles,
                         std::max<int64_t>(8, 128 / columns.rows));
  const Tensor partial = partials(plan, 1, sizeof(Acc), x);
  launch(name, reduce_columns<Op, T, N>, blocks_for(columns.tiles * plan.parts, 1), columns.threads,
         columns.rows > 1 ? size_t(columns.threads) * N * sizeof(Acc) : 0, plan, op, columns,
         pointer<T>(x), pointer<T>(held), reinterpret_cast<Acc*>(pointer<uint8_t>(partial)),
         pointer<typename Op::Out>(y));
  merge(name, plan, op, partial, y);
}

// Whether all runs of the innermost dimension of `inner` are whole groups of `width` and aligned.
bool in_groups(const Axes& inner, const Axes& outer, int width, const Tensor& x) {
  const int last = inner.rank - 1;
  if (last < 0 || inner.x[last] != 1 || inner.extent[last] % width != 0) return false;
  bool whole = are_aligned(x.address());
  for (int d = 0; d < last; ++d) whole &= inner.x[d] % width == 0;
  for (int d = 0; d < outer.rank; ++d) whole &= outer.x[d] % width == 0;
  return whole;
}

// y is dense (its strides are 0 only where x is reduced), x and y have elements; `held` lies as y.
template <class T, class Op>
void run(const char* name, const Op& op, const Tensor& x, const Tensor& held, const Tensor& y) {
  constexpr int kLanes = kLanesOf<T>;
  const detail::Loop<2> loop = detail::make_loop<2>({&x, &y});
  Plan plan;
  bool rows = true;
  for (size_t d = 0; d < size_t(loop.rank); ++d) {
    if (loop.extent[d] == 1) continue;
    rows = loop.stride[1][d] == 0;
    (rows ? plan.reduced : plan.kept).add(loop.extent[d], loop.stride[0][d], loop.stride[1][d]);
  }
  if (rows && in_groups(plan.reduced, plan.kept, kLanes, x))
    run_rows<kLanes, T>(name, plan, op, x, held, y);
  else if (rows)
    run_rows<1, T>(name, plan, op, x, held, y);
  else if (in_groups(plan.kept, plan.reduced, kLanes, x))
    run_columns<kLanes, T>(name, plan, op, x, held, y);
  else
    run_columns<1, T>(name, plan, op, x, held, y);
}

// y is of x's dtype, or f32.
bool sum(const char* name, double scale, const Tensor& x, const Tensor& y) {
  if (y.dtype() != x.dtype() && y.dtype() != DType::kF32) return false;
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    if (y.dtype() == DType::kF32)
      run<T>(name, Sum<float>{scale}, x, {}, y);
    else
      run<T>(name, Sum<T>{scale}, x, {}, y);
  });
}

template <class Better>
bool extremum(const char* name, float first, const Tensor& x, const Tensor& y) {
  if (y.dtype() != x.dtype()) return false;
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    run<T>(name, Extremum<Better, T>{first}, x, {}, y);
  });
}

// Operand 2 stands for y, dy and the ties.
template <class T, int W>
__global__ void extremum_backward_kernel(Walk<3> walk, const T* x, const T* y, const T* dy,
                                         const float* ties, T* dx) {
  const int64_t step = walk.stride[2][walk.rank - 1];
  for (int64_t i = grid_first(); i < walk.total / W; i += grid_step()) {
    int64_t at[3];
    walk.at(i * W, at);
    Floats<W> v = read<W>(x + at[1]);
    const Floats<W> top = read_or_repeat<W>(y + at[2], step);
    const Floats<W> d = read_or_repeat<W>(dy + at[2], step);
    const Floats<W> share = read_or_repeat<W>(ties + at[2], step);
    KINTSUGI_UNROLL
    for (int e = 0; e < W; ++e) v.at[e] = v.at[e] == top.at[e] ? d.at[e] / share.at[e] : 0;
    write(dx + at[0], v);
  }
}

}  // namespace

bool reduce(Reduce op, const Tensor& x, Tensor& y) {
  if (x.dtype() != DType::kF32 && x.dtype() != DType::kBF16) return false;
  if (y.numel() == 0) return true;
  if (x.numel() == 0) {
    y.fill(0);
    return true;
  }
  switch (op) {
    case Reduce::kSum:
      return sum("sum", 1, x, y);
    case Reduce::kMean:
      return sum("mean", double(y.numel()) / double(x.numel()), x, y);
    case Reduce::kMax:
      return extremum<Largest>("max", -kInfinity, x, y);
    default:  // kMin
      return extremum<Smallest>("min", kInfinity, x, y);
  }
}

bool extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx) {
  constexpr const char* kOp = "extremum_backward";
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    if (x.numel() == 0) return;
    const Tensor value = y.contiguous(), diff = dy.contiguous();
    const Tensor ties = Tensor::empty(y.shape(), DType::kF32, x.device());
    run<T>(kOp, Ties{}, x, value, ties);
    const Walk<3> walk({&dx, &x, &value});
    const auto backward = [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      launch(kOp, extremum_backward_kernel<T, kWidth>, blocks_for(walk.total / kWidth), kThreads, 0,
             walk, pointer<T>(x), pointer<T>(value), pointer<T>(diff), pointer<float>(ties),
             pointer<T>(dx));
    };
    const bool whole = walk.in_groups(kLanesOf<T>) &&
                       are_aligned(x.address(), value.address(), diff.address(), dx.address());
    if (whole && walk.stride[1][walk.rank - 1] == 1)
      backward(std::integral_constant<int, kLanesOf<T>>());
    else
      backward(std::integral_constant<int, 1>());
  });
}

bool argmax(const Tensor& x, int dim, Tensor& y) {
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    if (y.numel() > 0) run<T>("argmax", First{}, x, {}, y.unsqueeze(dim));
  });
}

}  // namespace kintsugi::cuda
