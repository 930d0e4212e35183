#include "kintsugi/engine/cuda/conv_stage.h"

#include "kintsugi/engine/cuda/grid.h"

namespace kintsugi::cuda {

namespace {

// (groups, taps, O/groups, C/groups), both padded with zeros, from (O,C/groups,KH,KW).
__global__ void weights_by_input(int64_t total, int taps, int channels, int outputs,
                                 int channels_padded, int outputs_padded, const float* weight,
                                 float* to) {
  for (int64_t e = grid_first(); e < total; e += grid_step()) {
    const int64_t c = e % channels_padded, o = e / channels_padded % outputs_padded;
    const int64_t tap = e / channels_padded / outputs_padded % taps;
    const int64_t group = e / channels_padded / outputs_padded / taps;
    const bool real = o < outputs && c < channels;
    to[e] = real ? weight[((group * outputs + o) * channels + c) * taps + tap] : 0;
  }
}

// (groups, taps, C/groups, O/groups): a transpose, 32 outputs by 32 (channel, tap) at a time.
constexpr int kSquare = 32, kSquareRows = 8;

__global__ void weights_by_output(int64_t squares, int taps, int channels, int outputs,
                                  int channels_padded, int outputs_padded, const float* weight,
                                  float* to) {
  float* tile = dynamic_shared<float>();  // kSquare rows of kSquare + 1
  const int64_t wide = int64_t(taps) * channels_padded;
  const int64_t across = (wide + kSquare - 1) / kSquare;
  const int64_t down = (outputs_padded + kSquare - 1) / kSquare;
  for (int64_t s = blockIdx.x; s < squares; s += gridDim.x) {
    const int64_t x0 = s % across * kSquare, o0 = s / across % down * kSquare;
    const int64_t group = s / across / down, x = x0 + threadIdx.x;
    for (int r = int(threadIdx.y); r < kSquare; r += kSquareRows) {
      const int64_t o = o0 + r;
      const bool real = o < outputs && x < int64_t(taps) * channels;
      tile[r * (kSquare + 1) + int(threadIdx.x)] =
          real ? weight[(group * outputs + o) * channels * taps + x] : 0;
    }
    __syncthreads();
    const int64_t o = o0 + threadIdx.x;
    for (int r = int(threadIdx.y); r < kSquare; r += kSquareRows) {
      const int64_t c = (x0 + r) / taps, tap = (x0 + r) % taps;
      if (o < outputs_padded && c < channels_padded) {
        to[((group * taps + tap) * channels_padded + c) * outputs_padded + o] =
            tile[int(threadIdx.x) * (kSquare + 1) + r];
      }
    }
    __syncthreads();
  }
}

// Each group's channels followed by zeros, to a multiple of 4.
__global__ void pad_groups(int64_t fours, int channels, const float* from, float* to) {
  const int each = (channels + 3) / 4;
  for (int64_t e = grid_first(); e < fours; e += grid_step()) {
    const int64_t group = e / each;  // of a pixel, all pixels in a row
    const int c = int(e - group * each) * 4;
    const float* at = from + group * channels + c;
    float4 v = make_float4(0, 0, 0, 0);
    v.x = at[0];
    if (c + 1 < channels) v.y = at[1];
    if (c + 2 < channels) v.z = at[2];
    if (c + 3 < channels) v.w = at[3];
    reinterpret_cast<float4*>(to)[e] = v;
  }
}

}  // namespace

Tensor staged(const char* op, const Tensor& any_x, int64_t groups) {
  const Tensor x = any_x.channels_last();
  const int64_t channels = x.size(1) / groups, lines = x.numel() / channels;
  if (in_fours(channels, x.address())) return x;
  Tensor out = Tensor::empty({lines, padded(channels)}, DType::kF32, x.device());
  const int64_t fours = lines * (padded(channels) / 4);
  launch(op, pad_groups, blocks_for(fours), kThreads, 0, fours, int(channels), pointer<float>(x),
         pointer<float>(out));
  return out;
}

Tensor staged_weight(const char* op, const Tensor& any_weight, int64_t groups, bool backward) {
  const Tensor weight = any_weight.contiguous();
  const int64_t outputs = weight.size(0) / groups, channels = weight.size(1);
  const int64_t taps = weight.size(2) * weight.size(3);
  Tensor out = Tensor::empty({groups, taps, padded(channels), padded(outputs)}, DType::kF32,
                             weight.device());
  const auto run = [&](auto kernel, unsigned blocks, dim3 block, size_t shared, int64_t n) {
    launch(op, kernel, blocks, block, shared, n, int(taps), int(channels), int(outputs),
           int(padded(channels)), int(padded(outputs)), pointer<float>(weight),
           pointer<float>(out));
  };
  if (backward) {
    run(weights_by_input, blocks_for(out.numel()), kThreads, 0, out.numel());
  } else {
    const auto squares_of = [](int64_t n) { return (n + kSquare - 1) / kSquare; };
    const int64_t squares = groups * squares_of(taps * padded(channels)) * squares_of(outputs);
    run(weights_by_output, blocks_for(squares, 1), dim3(kSquare, kSquareRows),
        kSquare * (kSquare + 1) * sizeof(float), squares);
  }
  return out;
}

}  // namespace kintsugi::cuda
