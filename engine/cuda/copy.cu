#include <cstring>
#include <memory>

#include "kintsugi/engine/core/visit.h"
#include "kintsugi/engine/cuda/elementwise.h"
#include "kintsugi/engine/cuda/vector.h"
#include "kintsugi/engine/cuda/walk.h"

namespace kintsugi::cuda {

namespace {

__device__ __forceinline__ float half_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x400u) return __uint_as_float(sign | ((rest << 13) + (112u << 23)));
  const float magnitude = float(rest) * 0x1p-24f;  // a subnormal
  return sign ? -magnitude : magnitude;
}

// Round to nearest even; NaN stays NaN.
__device__ __forceinline__ uint16_t float_to_half(float value) {
  const uint32_t bits = __float_as_uint(value), sign = bits >> 16 & 0x8000u;
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return uint16_t(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
  if (rest >= 0x47800000u) return uint16_t(sign | 0x7c00u);
  if (rest < 0x38800000u) {  // subnormal: a multiple of 2^-24, rounded by the adder
    const float sum = __uint_as_float(rest) + 0.5f;
    return uint16_t(sign | (__float_as_uint(sum) - 0x3f000000u));
  }
  const uint32_t rounded = rest + 0xfffu + (rest >> 13 & 1u) - (112u << 23);
  return uint16_t(sign | rounded >> 13);
}

template <class T>
__device__ __forceinline__ double number(const T& value) {
  if constexpr (std::is_same_v<T, Half>)
    return half_to_float(value.bits);
  else if constexpr (std::is_same_v<T, BFloat16>)
    return widen(value);
  else
    return double(value);
}

template <class To, class From>
__device__ __forceinline__ To converted(const From& value) {
  if constexpr (std::is_same_v<To, From>)
    return value;
  else if constexpr (std::is_same_v<To, Half>)
    return Half{float_to_half(float(number(value)))};
  else if constexpr (std::is_same_v<To, BFloat16>)
    return narrow<BFloat16>(float(number(value)));
  else if constexpr (std::is_same_v<To, bool>)
    return number(value) != 0;
  else if constexpr (std::is_integral_v<To> && std::is_integral_v<From>)
    return To(value);
  else
    return To(number(value));
}

template <class To, class From>
__global__ void copy_kernel(Walk<2> walk, To* dst, const From* src) {
  for (int64_t i = grid_first(); i < walk.total; i += grid_step()) {
    int64_t at[2];
    walk.at(i, at);
    dst[at[0]] = converted<To, From>(src[at[1]]);
  }
}

// dst is contiguous along its innermost dimension, src along `across`: tiles of both through shared
// memory, so that both sides are read and written in whole lines.
constexpr int kTile = 32, kTileRows = 8;

template <class T>
__global__ void transpose_kernel(Walk<2> walk, int across, int64_t tiles, T* dst, const T* src) {
  T* tile = dynamic_shared<T>();  // kTile rows of kTile + 1
  const int inner = walk.rank - 1;
  const int64_t n = walk.extent[inner], m = walk.extent[across];
  const int64_t across_tiles = (m + kTile - 1) / kTile, inner_tiles = (n + kTile - 1) / kTile;
  for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
    const int64_t j0 = t % inner_tiles * kTile, i0 = t / inner_tiles % across_tiles * kTile;
    int64_t plane = t / inner_tiles / across_tiles, to = 0, from = 0;
    for (int d = inner - 1; d >= 0; --d) {
      if (d == across) continue;
      const int64_t index = plane % walk.extent[d];
      plane /= walk.extent[d];
      to += index * walk.stride[0][d];
      from += index * walk.stride[1][d];
    }
    for (int r = int(threadIdx.y); r < kTile; r += kTileRows) {
      const int64_t i = i0 + threadIdx.x, j = j0 + r;
      if (i < m && j < n) {
        tile[r * (kTile + 1) + int(threadIdx.x)] = src[from + i + j * walk.stride[1][inner]];
      }
    }
    __syncthreads();
    for (int r = int(threadIdx.y); r < kTile; r += kTileRows) {
      const int64_t i = i0 + r, j = j0 + threadIdx.x;
      if (i < m && j < n) {
        dst[to + i * walk.stride[0][across] + j] = tile[int(threadIdx.x) * (kTile + 1) + r];
      }
    }
    __syncthreads();
  }
}

template <class T>
__global__ void fill_kernel(Walk<1> walk, T* dst, T value) {
  for (int64_t i = grid_first(); i < walk.total; i += grid_step()) {
    int64_t at[1];
    walk.at(i, at);
    dst[at[0]] = value;
  }
}

// The dimension, other than the innermost, along which src is contiguous: -1 where there is none.
int transposed_dim(const Walk<2>& walk) {
  const int inner = walk.rank - 1;
  if (walk.stride[0][inner] != 1 || walk.stride[1][inner] <= 1) return -1;
  for (int d = inner - 1; d >= 0; --d) {
    if (walk.stride[1][d] == 1 && walk.extent[d] >= 8 && walk.extent[inner] >= 8) return d;
  }
  return -1;
}

template <class T>
void copy_elements(const Walk<2>& walk, void* dst, const void* src) {
  T* to = static_cast<T*>(dst);
  const T* from = static_cast<const T*>(src);
  const int across = transposed_dim(walk);
  if (across < 0) {
    launch("copy", copy_kernel<T, T>, blocks_for(walk.total), kThreads, 0, walk, to, from);
    return;
  }
  const int64_t n = walk.extent[walk.rank - 1], m = walk.extent[across];
  const int64_t tiles =
      walk.total / (n * m) * ((n + kTile - 1) / kTile) * ((m + kTile - 1) / kTile);
  launch("copy", transpose_kernel<T>, blocks_for(tiles, 1), dim3(kTile, kTileRows),
         kTile * (kTile + 1) * sizeof(T), walk, across, tiles, to, from);
}

bool same_order(const Tensor& a, const Tensor& b) {
  for (int i = 0; i < a.rank(); ++i) {
    if (a.size(i) != 1 && a.strides()[i] != b.strides()[i]) return false;
  }
  return true;
}

void copy_on_device(const Tensor& dst, const Tensor& src) {
  const Walk<2> walk({&dst, &src});
  if (dst.dtype() == src.dtype()) {
    switch (size_of(dst.dtype())) {
      case 1:
        return copy_elements<uint8_t>(walk, dst.address(), src.address());
      case 2:
        return copy_elements<uint16_t>(walk, dst.address(), src.address());
      case 4:
        return copy_elements<uint32_t>(walk, dst.address(), src.address());
      default:
        return copy_elements<uint64_t>(walk, dst.address(), src.address());
    }
  }
  if (cuda::convert(src, dst)) return;
  detail::visit_dtype(dst.dtype(), [&](auto to) {
    detail::visit_dtype(src.dtype(), [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      if constexpr (!std::is_same_v<To, From>) {
        launch("copy", copy_kernel<To, From>, blocks_for(walk.total), kThreads, 0, walk,
               static_cast<To*>(dst.address()), static_cast<const From*>(src.address()));
      }
    });
  });
}

}  // namespace

void copy(const Tensor& dst, const Tensor& src) {
  const bool to_device = dst.device().type == DeviceType::kCuda;
  const bool from_device = src.device().type == DeviceType::kCuda;
  use_device(to_device ? dst.device().index : src.device().index);
  if (to_device != from_device && capturing(current_stream())) {
    fail(ErrorKind::kDevice, "copy: the host cannot take part while a graph is captured");
  }
  if (to_device && from_device && dst.device() != src.device()) {
    return copy(dst, src.to(kCpu));
  }
  if (dst.dtype() == src.dtype() && dst.is_dense() && same_order(dst, src)) {
    copy_async("copy", dst.address(), src.address(), dst.bytes(), current_stream());
    if (!to_device || !from_device) synchronize("copy", current_stream());
    return;
  }
  if (to_device && from_device) return copy_on_device(dst, src);
  // The host sees dense memory of one dtype only; the device puts it in order.
  if (to_device) {
    Tensor staged = Tensor::empty(src.shape(), src.dtype(), dst.device());
    copy(staged, src.contiguous());
    return copy_on_device(dst, staged);
  }
  Tensor staged = Tensor::empty(src.shape(), dst.dtype(), src.device());
  copy_on_device(staged, src);
  Tensor here = Tensor::empty(src.shape(), dst.dtype());
  copy(here, staged);
  Tensor(dst).copy_from(here);
}

void fill(const Tensor& dst, double value) {
  use_device(dst.device().index);
  if (value == 0 && !std::signbit(value) && dst.is_dense()) {
    return set_async("fill", dst.address(), 0, dst.bytes(), current_stream());
  }
  const Tensor element = Tensor::full({1}, value, dst.dtype());
  const Walk<1> walk({&dst});
  detail::visit_dtype(dst.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch("fill", fill_kernel<T>, blocks_for(walk.total), kThreads, 0, walk,
           static_cast<T*>(dst.address()), *element.data<T>());
  });
}

}  // namespace kintsugi::cuda
