#include "kintsugi/engine/cuda/layout.h"

#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

namespace {

// A row-major x is (outer, n, inner), what is gathered (outer, count, inner).
struct Split {
  int64_t outer = 1, n, count, inner = 1;
  Split(const Tensor& x, int dim, const Tensor& indices) : n(x.size(dim)), count(indices.numel()) {
    for (int i = 0; i < dim; ++i) outer *= x.size(i);
    for (int i = dim + 1; i < x.rank(); ++i) inner *= x.size(i);
  }
};

// inner counts elements of V.
template <class V>
__global__ void gather_kernel(Split s, const V* x, const int64_t* indices, V* y) {
  const int64_t total = s.outer * s.count * s.inner;
  for (int64_t i = grid_first(); i < total; i += grid_step()) {
    const int64_t row = i / s.inner, k = i - row * s.inner;
    const int64_t outer = row / s.count, at = row - outer * s.count;
    const int64_t index = indices[at];
    if (index >= 0 && index < s.n) {
      y[i] = x[(outer * s.n + index) * s.inner + k];
    } else {
      auto* bytes = reinterpret_cast<unsigned char*>(y + i);  // NaN
      for (size_t b = 0; b < sizeof(V); ++b) bytes[b] = 0xff;
    }
  }
}

// A warp a row of dx and 32 groups of N columns: it looks through all indices, 32 at once, and adds
// up the rows whose index is its own, in their order.
template <class T, int N>
__global__ void gather_backward_kernel(Split s, const T* dy, const int64_t* indices, T* dx) {
  const int64_t tiles = (s.inner + 32 * N - 1) / (32 * N), total = s.outer * s.n * tiles;
  const int lane = int(threadIdx.x) % 32;
  for (int64_t w = grid_first() / 32; w < total; w += grid_step() / 32) {
    const int64_t row = w / tiles, column = ((w - row * tiles) * 32 + lane) * N;
    const int64_t outer = row / s.n, index = row - outer * s.n;
    double sum[N] = {};
    for (int64_t begin = 0; begin < s.count; begin += 32) {
      const int64_t i = begin + lane;
      unsigned hits = __ballot_sync(kAllLanes, i < s.count && indices[i] == index);
      for (int64_t at = begin; hits != 0; ++at, hits >>= 1) {
        if (!(hits & 1u) || column >= s.inner) continue;
        const Floats<N> v = read<N>(dy + (outer * s.count + at) * s.inner + column);
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) sum[e] += double(v.at[e]);
      }
    }
    if (column >= s.inner) continue;
    Floats<N> out;
    KINTSUGI_UNROLL
    for (int e = 0; e < N; ++e) out.at[e] = float(sum[e]);
    write(dx + row * s.inner + column, out);
  }
}

}  // namespace

bool gather(const Tensor& x, int dim, const Tensor& indices, const Tensor& y) {
  if (y.numel() == 0) return true;
  Split s(x, dim, indices);
  const auto run = [&](auto zero) {
    using V = decltype(zero);
    s.inner = s.inner * int64_t(size_of(x.dtype())) / int64_t(sizeof(V));
    launch("gather", gather_kernel<V>, blocks_for(s.outer * s.count * s.inner), kThreads, 0, s,
           static_cast<const V*>(x.address()), pointer<int64_t>(indices),
           static_cast<V*>(y.address()));
  };
  // The widest word that rows are made of.
  const uintptr_t places = reinterpret_cast<uintptr_t>(x.address()) |
                           reinterpret_cast<uintptr_t>(y.address()) |
                           uintptr_t(s.inner) * size_of(x.dtype());
  if (places % 16 == 0)
    run(uint4{});
  else if (places % 8 == 0)
    run(uint2{});
  else if (places % 4 == 0)
    run(uint32_t{});
  else if (places % 2 == 0)
    run(uint16_t{});
  else
    run(uint8_t{});
  return true;
}

bool gather_backward(const Tensor& dy, int dim, const Tensor& indices, const Tensor& dx) {
  return visit_storage(dx, [&](auto zero) {
    using T = decltype(zero);
    if (dx.numel() == 0) return;
    const Split s(dx, dim, indices);
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      const int64_t tiles = (s.inner + 32 * kN - 1) / (32 * kN);
      launch("gather_backward", gather_backward_kernel<T, kN>,
             blocks_for(s.outer * s.n * tiles, kThreads / 32), kThreads, 0, s, pointer<T>(dy),
             pointer<int64_t>(indices), pointer<T>(dx));
    };
    visit_width<T>(run, s.inner, pointer<T>(dy), pointer<T>(dx));
  });
}

}  // namespace kintsugi::cuda
