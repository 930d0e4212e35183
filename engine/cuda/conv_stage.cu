#include "kintsugi/engine/cuda/conv_stage.h"

namespace kintsugi::cuda {

namespace {

// A weight as (O, C/groups * taps), a square of 32 outputs by `high` neighbours in memory at a
// time.
constexpr int kSquare = 32, kSquareRows = 8;

struct Square {
  int64_t group;
  int output, place;  // of the product's group: its output, and (input, tap)

  __device__ __forceinline__ Square(const Order& order, int64_t number, int high) {
    const int64_t across = (order.terms() + high - 1) / high;
    const int64_t down = (order.padded_outputs + kSquare - 1) / kSquare;
    place = int(number % across) * high;
    output = int(number / across % down) * kSquare;
    group = number / across / down;
  }
};

int64_t squares_of(const Order& order, int high) {
  const int64_t across = (order.terms() + high - 1) / high;
  return order.groups * across * ((order.padded_outputs + kSquare - 1) / kSquare);
}

// Where output o of a product's group has (input, tap) `place` in the weight; -1 where nowhere.
__device__ __forceinline__ int64_t in_weight(const Order& order, int64_t group, int o, int place) {
  const int wide = order.inputs * order.taps(), mine = int(order.by_outputs.quotient(uint32_t(o)));
  const int own = place - mine * wide;
  if (mine >= order.merged || own < 0 || own >= wide) return -1;
  return (group * order.merged * order.outputs + o) * wide + own;
}

// Its term, where all taps are one set.
__device__ __forceinline__ int term_of(const Order& order, int place) {
  uint32_t tap = uint32_t(place);
  const int input = int(order.by_taps.split(tap));
  return order.in_set(order.taps(), int(tap), input);
}

template <class T>
__global__ void forward_weights(int64_t squares, Order order, const float* weight, T* to) {
  float* tile = dynamic_shared<float>();  // kSquare rows of kSquare + 1
  const int terms = order.terms();
  for (int64_t s = blockIdx.x; s < squares; s += gridDim.x) {
    const Square at(order, s, kSquare);
    for (int r = int(threadIdx.y); r < kSquare; r += kSquareRows) {
      const int64_t from = in_weight(order, at.group, at.output + r, at.place + int(threadIdx.x));
      tile[r * (kSquare + 1) + int(threadIdx.x)] = from < 0 ? 0 : weight[from];
    }
    __syncthreads();
    const int o = at.output + int(threadIdx.x);
    for (int r = int(threadIdx.y); r < kSquare; r += kSquareRows) {
      const int place = at.place + r;
      if (o >= order.padded_outputs || place >= terms) continue;
      to[(at.group * terms + term_of(order, place)) * order.padded_outputs + o] =
          narrow<T>(tile[int(threadIdx.x) * (kSquare + 1) + r]);
    }
    __syncthreads();
  }
}

// A block has an input, which is an output of the convolution; a thread all taps of an output.
template <class T>
__global__ void backward_weights(int64_t lines, Order order, const float* weight, T* to) {
  const int taps = order.taps();
  for (int64_t line = blockIdx.x; line < lines; line += gridDim.x) {
    const int64_t group = line / order.padded_inputs;
    const int input = int(line - group * order.padded_inputs);
    const int mine = int(order.by_inputs.quotient(uint32_t(input)));
    T* group_to = to + group * order.terms() * order.padded_outputs;
    for (int o = int(threadIdx.x); o < order.padded_outputs; o += int(blockDim.x)) {
      const int own = o - mine * order.outputs;
      const bool real = mine < order.merged && own >= 0 && own < order.outputs;
      const float* from =
          weight + ((group * order.merged * order.inputs + input) * order.outputs + own) * taps;
      int row_set = 0, row_at = 0;
      for (int row = 0; row < order.rows.kernel; ++row) {
        int column_set = 0, column_at = 0;
        for (int column = 0; column < order.columns.kernel; ++column) {
          const int down = order.rows.count(row_set), across = order.columns.count(column_set);
          const int term = order.begin(row_set, column_set) +
                           order.in_set(down * across, row_at * across + column_at, input);
          group_to[int64_t(term) * order.padded_outputs + o] =
              narrow<T>(real ? from[row * order.columns.kernel + column] : 0);
          if (++column_set == order.columns.every) column_set = 0, ++column_at;
        }
        if (++row_set == order.rows.every) row_set = 0, ++row_at;
      }
    }
  }
}

__global__ void sum_squares(int64_t squares, Order order, int64_t parts, const float* partial,
                            float* dweight) {
  float* tile = dynamic_shared<float>();  // kSquareRows rows of kSquare + 1
  const int64_t total = int64_t(order.groups) * order.terms() * order.padded_outputs;
  const int thread = int(threadIdx.y) * kSquare + int(threadIdx.x);
  for (int64_t s = blockIdx.x; s < squares; s += gridDim.x) {
    const Square at(order, s, kSquareRows);
    {
      const int o = at.output + int(threadIdx.x), place = at.place + int(threadIdx.y);
      double sum = 0;
      if (in_weight(order, at.group, o, place) >= 0) {
        const int64_t term = at.group * order.terms() + term_of(order, place);
        const float* from = partial + term * order.padded_outputs + o;
        for (int64_t part = 0; part < parts; ++part) sum += double(from[part * total]);
      }
      tile[int(threadIdx.y) * (kSquare + 1) + int(threadIdx.x)] = float(sum);
    }
    __syncthreads();
    // Neighbours in the weight by neighbouring threads.
    const int o = thread / kSquareRows, r = thread % kSquareRows;
    const int64_t to = in_weight(order, at.group, at.output + o, at.place + r);
    if (to >= 0) dweight[to] = tile[r * (kSquare + 1) + o];
    __syncthreads();
  }
}

// Each group's channels followed by zeros, 16 bytes at a time.
template <class T>
__global__ void pad_groups(int64_t total, int channels, const T* from, T* to) {
  constexpr int kLanes = kLanesOf<T>;
  const int each = (channels + kLanes - 1) / kLanes;
  for (int64_t e = grid_first(); e < total; e += grid_step()) {
    const int64_t group = each == 1 ? e : e / each;  // of a pixel, all pixels in a row
    const int c = int(e - group * each) * kLanes;
    const T* at = from + group * channels + c;
    Vector<T, kLanes> v{};
    KINTSUGI_UNROLL
    for (int k = 0; k < kLanes; ++k) {
      if (c + k < channels) v.at[k] = at[k];
    }
    store(to + e * kLanes, v);
  }
}

}  // namespace

template <class T>
int64_t block_of(int64_t padded_channels) {
  constexpr int64_t kMost = 64, kFew = 96;
  if (std::is_same_v<T, float> || padded_channels <= kFew) return padded_channels;
  int64_t block = kMost;
  while (padded_channels % block != 0) block -= kLanesOf<T>;
  return block;
}

template <class T>
Tensor staged(const char* op, const Tensor& any_x, int64_t groups) {
  const Tensor x = any_x.channels_last();
  const int64_t channels = x.size(1) / groups, lines = x.numel() / channels;
  if (channels % kLanesOf<T> == 0 && are_aligned(x.address())) return x;
  const Tensor out = Tensor::empty({lines, padded<T>(channels)}, x.dtype(), x.device());
  const int64_t total = out.numel() / kLanesOf<T>;
  launch(op, pad_groups<T>, blocks_for(total), kThreads, 0, total, int(channels), pointer<T>(x),
         pointer<T>(out));
  return out;
}

template <class T>
Tensor staged_weight(const char* op, const Tensor& any_weight, const Order& order) {
  const Tensor weight = any_weight.contiguous();
  const DType dtype = std::is_same_v<T, float> ? DType::kF32 : DType::kBF16;
  const Tensor out =
      Tensor::empty({order.groups, order.taps(), order.padded_inputs, order.padded_outputs}, dtype,
                    weight.device());
  if (order.backward) {
    const int64_t lines = int64_t(order.groups) * order.padded_inputs;
    const int threads = std::min(kThreads, (order.padded_outputs + 31) / 32 * 32);
    launch(op, backward_weights<T>, blocks_for(lines, 1), unsigned(threads), 0, lines, order,
           pointer<float>(weight), pointer<T>(out));
  } else {
    const int64_t squares = squares_of(order, kSquare);
    launch(op, forward_weights<T>, blocks_for(squares, 1), dim3(kSquare, kSquareRows),
           kSquare * (kSquare + 1) * sizeof(float), squares, order, pointer<float>(weight),
           pointer<T>(out));
  }
  return out;
}

void sum_parts(const char* op, const Tensor& partial, const Order& order, const Tensor& dweight) {
  const int64_t squares = squares_of(order, kSquareRows);
  launch(op, sum_squares, blocks_for(squares, 1), dim3(kSquare, kSquareRows),
         kSquareRows * (kSquare + 1) * sizeof(float), squares, order, partial.size(0),
         pointer<float>(partial), pointer<float>(dweight));
}

template int64_t block_of<float>(int64_t);
template int64_t block_of<BFloat16>(int64_t);
template Tensor staged<float>(const char*, const Tensor&, int64_t);
template Tensor staged<BFloat16>(const char*, const Tensor&, int64_t);
template Tensor staged_weight<float>(const char*, const Tensor&, const Order&);
template Tensor staged_weight<BFloat16>(const char*, const Tensor&, const Order&);

}  // namespace kintsugi::cuda
