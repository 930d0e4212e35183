#include "kintsugi/engine/cpu/depthwise.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "kintsugi/engine/core/buffer.h"
#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/engine/cpu/simd/depthwise.h"

namespace kintsugi::cpu {

namespace {

constexpr int64_t kMaxKernelRows = 64;
constexpr int64_t kChannelBlock = 128;  // so that the rows a block reads stay in the cache

// Scratch floats from the engine's pool.
class Floats {
 public:
  explicit Floats(int64_t count) : buffer_(size_t(count) * sizeof(float), kCpu) {}
  float* data() const { return static_cast<float*>(buffer_.data()); }

 private:
  Buffer buffer_;
};

// Rows of output in one piece: enough work that a thread is worth its start.
int64_t grain(const ConvShape& s, int64_t width) {
  const int64_t products = width * s.c * s.kh * s.kw;
  return std::max<int64_t>(1, (int64_t{1} << 17) / std::max<int64_t>(1, products));
}

// body(image, row_begin, row_end, channel_begin, channel_end): all rows of all images, a thread's
// share image by image and block by block.
template <class Body>
void over_rows(int64_t images, int64_t rows, int64_t channels, int64_t grain, const Body& body) {
  parallel_for(images * rows, grain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t image = begin / rows, first = begin % rows;
      const int64_t last = std::min(rows, first + end - begin);
      for (int64_t c = 0; c < channels; c += kChannelBlock) {
        body(image, first, last, c, std::min(channels, c + kChannelBlock));
      }
      begin += last - first;
    }
  });
}

// The taps of one column residue of dx, in the order in which columns of dy ascend.
struct Residue {
  int64_t taps, offset;       // taps of it; the column of dy that tap 0 of cell 0 reads
  int64_t cells;              // columns of dx of this residue
  std::vector<float> weight;  // (kh, taps, c)
};

std::vector<Residue> residues_of(const ConvShape& s, const float* weight) {
  std::vector<Residue> made;
  for (int64_t r = 0; r < s.stride_w && r < s.w; ++r) {
    // Column r + stride * t of dx reads column (r + stride * t + left - tap * dilation) / stride.
    const int64_t first = s.stride_w == 1 ? 0 : (r + s.left) % s.stride_w;
    Residue x;
    x.taps = first < s.kw ? (s.kw - first - 1) / s.stride_w + 1 : 0;
    x.offset = (r + s.left - first) / s.stride_w - (x.taps - 1) * s.dilation_w;
    x.cells = (s.w - r - 1) / s.stride_w + 1;
    x.weight.resize(size_t(s.kh * x.taps * s.c));
    float* out = x.weight.data();
    for (int64_t p = 0; p < s.kh; ++p) {
      for (int64_t k = x.taps - 1; k >= 0; --k) {
        const float* in = weight + p * s.kw + first + k * s.stride_w;
        for (int64_t c = 0; c < s.c; ++c) *out++ = in[c * s.kh * s.kw];
      }
    }
    made.push_back(std::move(x));
  }
  return made;
}

}  // namespace

bool is_depthwise(const ConvShape& s) {
  return s.groups == s.c && s.o == s.c;
}

bool depthwise(const ConvShape& s, const float* x, const float* weight, const float* bias,
               float* y) {
  if (s.kh > kMaxKernelRows) return false;
  const int64_t taps = s.kh * s.kw;
  const Floats transposed(taps * s.c);
  float* const w = transposed.data();  // (kh, kw, c)
  for (int64_t k = 0; k < taps; ++k) {
    for (int64_t c = 0; c < s.c; ++c) w[k * s.c + c] = weight[c * taps + k];
  }
  const DepthwiseKernels& kernels = depthwise_kernels();
  const auto work = [&](int64_t image, int64_t first, int64_t last, int64_t begin, int64_t end) {
    std::array<const float*, kMaxKernelRows> rows, weights;
    DepthwiseRow row{};
    row.x = rows.data();
    row.weight = weights.data();
    row.taps = s.kw;
    row.stride = s.stride_w;
    row.dilation = s.dilation_w;
    row.offset = -s.left;
    row.width = s.w;
    row.channels = s.c;
    row.bias = bias;
    row.least = s.relu ? 0 : -std::numeric_limits<float>::infinity();
    row.cells = s.ow;
    row.y_step = s.c;
    for (int64_t i = first; i < last; ++i) {
      row.rows = 0;
      for (int64_t p = 0; p < s.kh; ++p) {
        const int64_t h = i * s.stride_h + p * s.dilation_h - s.top;
        if (h < 0 || h >= s.h) continue;
        rows[size_t(row.rows)] = x + (image * s.h + h) * s.w * s.c;
        weights[size_t(row.rows++)] = w + p * s.kw * s.c;
      }
      // The rows that the next output row reads and this one does not.
      const int64_t fresh = i * s.stride_h + (s.kh - 1) * s.dilation_h - s.top + 1;
      row.next_rows = fresh > 0 && fresh + s.stride_h <= s.h ? s.stride_h : 0;
      row.next = x + (image * s.h + fresh) * s.w * s.c;
      row.y = y + (image * s.oh + i) * s.ow * s.c;
      kernels.row(row, begin, end);
    }
  };
  over_rows(s.n, s.oh, s.c, grain(s, s.ow), work);
  return true;
}

bool depthwise_backward_input(const ConvShape& s, const float* dy, const float* weight, float* dx) {
  if (s.kh > kMaxKernelRows || (s.stride_w > 1 && s.dilation_w > 1)) return false;
  const std::vector<Residue> residues = residues_of(s, weight);
  const DepthwiseKernels& kernels = depthwise_kernels();
  const auto work = [&](int64_t image, int64_t first, int64_t last, int64_t begin, int64_t end) {
    std::array<const float*, kMaxKernelRows> rows, weights;
    std::array<int64_t, kMaxKernelRows> kernel_rows;
    DepthwiseRow row{};
    row.x = rows.data();
    row.weight = weights.data();
    row.stride = 1;
    row.dilation = s.dilation_w;
    row.least = -std::numeric_limits<float>::infinity();
    row.width = s.ow;
    row.channels = s.c;
    row.y_step = s.stride_w * s.c;
    for (int64_t h = first; h < last; ++h) {
      row.rows = 0;
      for (int64_t p = 0; p < s.kh; ++p) {
        const int64_t scaled = h + s.top - p * s.dilation_h;
        if (scaled < 0 || scaled % s.stride_h != 0 || scaled / s.stride_h >= s.oh) continue;
        rows[size_t(row.rows)] = dy + (image * s.oh + scaled / s.stride_h) * s.ow * s.c;
        kernel_rows[size_t(row.rows++)] = p;
      }
      const int64_t fresh = (h + s.top) / s.stride_h + 1;
      const bool ahead = fresh < s.oh && (h + s.top) % s.stride_h == 0;
      row.next = dy + (image * s.oh + fresh) * s.ow * s.c;
      for (size_t r = 0; r < residues.size(); ++r) {
        const Residue& residue = residues[r];
        for (size_t p = 0; p < size_t(row.rows); ++p) {
          weights[p] = residue.weight.data() + kernel_rows[p] * residue.taps * s.c;
        }
        row.next_rows = ahead && r == 0 ? 1 : 0;
        row.taps = residue.taps;
        row.offset = residue.offset;
        row.cells = residue.cells;
        row.y = dx + ((image * s.h + h) * s.w + int64_t(r)) * s.c;
        kernels.row(row, begin, end);
      }
    }
  };
  over_rows(s.n, s.h, s.c, grain(s, s.w), work);
  return true;
}

bool depthwise_backward_weight(const ConvShape& s, const float* x, const float* dy, float* dweight,
                               float* dbias) {
  const int64_t taps = s.kh * s.kw, rows = s.n * s.oh;
  const int threads = Context::current().threads();
  // Blocks of channels need no sums between threads; rows are cut too where blocks are few.
  constexpr int64_t kBlock = 16;
  const int64_t blocks = (s.c + kBlock - 1) / kBlock;
  const bool small = rows * s.ow * s.c * taps < (int64_t{1} << 17);
  const int64_t parts = small || blocks % threads == 0 || blocks >= 4 * threads
                            ? 1
                            : std::min<int64_t>(threads, rows);
  const int64_t size = (taps + 1) * s.c;  // gradients of weights (kh, kw, c) and bias
  const Floats partial(parts * size);
  std::fill_n(partial.data(), parts * size, 0.0f);
  const DepthwiseKernels& kernels = depthwise_kernels();
  const int64_t jobs = parts > 1 ? parts : blocks;
  parallel_for(jobs, small ? jobs : 1, [&](int64_t job_begin, int64_t job_end) {
    const int64_t first = parts > 1 ? rows * job_begin / parts : 0;
    const int64_t last = parts > 1 ? rows * job_end / parts : rows;
    const int64_t begin = parts > 1 ? 0 : job_begin * kBlock;
    const int64_t end = parts > 1 ? s.c : std::min(s.c, job_end * kBlock);
    float* const dw = partial.data() + (parts > 1 ? job_begin * size : 0);
    for (int64_t at = first; at < last;) {
      const int64_t image = at / s.oh, row = at % s.oh;
      const int64_t stop = std::min(s.oh, row + last - at);
      for (int64_t c = begin; c < end; c += kChannelBlock) {
        kernels.weight(s, x + image * s.h * s.w * s.c, dy + image * s.oh * s.ow * s.c, row, stop, c,
                       std::min(end, c + kChannelBlock), dw, dbias ? dw + taps * s.c : nullptr);
      }
      at += stop - row;
    }
  });
  for (int64_t c = 0; c < s.c; ++c) {
    for (int64_t k = 0; k <= taps; ++k) {
      double sum = 0;
      for (int64_t p = 0; p < parts; ++p) sum += double(partial.data()[p * size + k * s.c + c]);
      if (k < taps)
        dweight[c * taps + k] = float(sum);
      else if (dbias)
        dbias[c] = float(sum);
    }
  }
  return true;
}

}  // namespace kintsugi::cpu
