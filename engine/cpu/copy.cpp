#include "kintsugi/engine/cpu/copy.h"

#include <cstring>

namespace kintsugi::cpu {

namespace {

constexpr int64_t kGrain = 32768;
constexpr int64_t kTile = 32;

// The dimension, other than the innermost, along which src is contiguous: -1 where there is none.
int transposed_dim(const Loop<2>& loop) {
  if (loop.inner_step(0) != 1 || loop.inner_step(1) == 0) return -1;
  for (int d = loop.rank - 2; d >= 0; --d) {
    if (loop.stride[1][d] == 1 && loop.extent[d] > 1) return d;
  }
  return -1;
}

// dst is contiguous along the innermost dimension (n), src along `across` (m): tiles of both, so
// that every line fetched is used up.
template <class T>
void copy_transposed(const Loop<2>& loop, int across, T* dst, const T* src) {
  const int64_t n = loop.inner(), m = loop.extent[across];
  const int64_t dst_step = loop.stride[0][across], src_step = loop.inner_step(1);
  const int64_t bands = (m + kTile - 1) / kTile;
  const int64_t planes = loop.total / (n * m);
  const int64_t grain = std::max<int64_t>(1, kGrain / (n * std::min(m, kTile)));
  parallel_for(planes * bands, grain, [&](int64_t begin, int64_t end) {
    for (int64_t band = begin; band < end; ++band) {
      const int64_t first = band % bands * kTile, last = std::min(m, first + kTile);
      int64_t plane = band / bands, to = 0, from = 0;
      for (int d = loop.rank - 2; d >= 0; --d) {
        if (d == across) continue;
        const int64_t index = plane % loop.extent[d];
        plane /= loop.extent[d];
        to += index * loop.stride[0][d];
        from += index * loop.stride[1][d];
      }
      T* out = dst + to;
      const T* in = src + from;
      for (int64_t j = 0; j < n; j += kTile) {
        const int64_t stop = std::min(n, j + kTile);
        for (int64_t i = first; i < last; ++i) {
          for (int64_t k = j; k < stop; ++k) out[i * dst_step + k] = in[i + k * src_step];
        }
      }
    }
  });
}

template <class T>
void copy_elements(const Loop<2>& loop, void* to, const void* from) {
  T* dst = static_cast<T*>(to);
  const T* src = static_cast<const T*>(from);
  if (loop.inner_step(0) == 1 && loop.inner_step(1) == 1) {
    run_loop(loop, kGrain, [&](int64_t rows, int64_t n, const std::array<int64_t, 2>& at) {
      for (int64_t r = 0; r < rows; ++r) {
        std::memcpy(dst + at[0] + r * loop.row_step(0), src + at[1] + r * loop.row_step(1),
                    size_t(n) * sizeof(T));
      }
    });
    return;
  }
  const int across = transposed_dim(loop);
  if (across >= 0) return copy_transposed(loop, across, dst, src);
  copy_rows(loop, dst, src, [](T x) { return x; });
}

}  // namespace

void copy(const Tensor& dst, const Tensor& src) {
  const Loop<2> loop = make_loop<2>({&dst, &src});
  switch (size_of(dst.dtype())) {
    case 1:
      return copy_elements<uint8_t>(loop, dst.raw(), src.raw());
    case 2:
      return copy_elements<uint16_t>(loop, dst.raw(), src.raw());
    case 4:
      return copy_elements<uint32_t>(loop, dst.raw(), src.raw());
    default:
      return copy_elements<uint64_t>(loop, dst.raw(), src.raw());
  }
}

}  // namespace kintsugi::cpu
