// Shapes: extents of up to 8 dimensions, all 64 bit, products checked for overflow.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>

namespace kintsugi {

inline constexpr int kMaxRank = 8;

// A short list of 64-bit integers: a shape, strides, or a list of dimensions.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) : Dims(std::span(values.begin(), values.size())) {}
  explicit Dims(std::span<const int64_t> values);
  static Dims filled(int rank, int64_t value);

  int rank() const { return rank_; }
  // Negative indices count from the end; out of range is an Error.
  int64_t operator[](int dim) const { return values_[index(dim)]; }
  int64_t& operator[](int dim) { return values_[index(dim)]; }
  void push_back(int64_t value);
  void insert(int at, int64_t value);
  void erase(int at);
  const int64_t* begin() const { return values_.data(); }
  const int64_t* end() const { return values_.data() + rank_; }
  int64_t* begin() { return values_.data(); }
  int64_t* end() { return values_.data() + rank_; }

  // The product of all extents (1 for rank 0); a negative extent or an overflow is an Error.
  int64_t numel() const;
  std::string str() const;  // "(2,3,224,224)"

  friend bool operator==(const Dims& a, const Dims& b);

 private:
  int index(int dim) const;
  std::array<int64_t, kMaxRank> values_{};
  int rank_ = 0;
};

using Shape = Dims;
using Strides = Dims;

std::ostream& operator<<(std::ostream& out, const Dims& dims);

// dim in [-rank, rank) made non-negative; otherwise an Error that begins with `op`.
int normalise_dim(const char* op, int dim, int rank);

// NumPy's broadcasting of two shapes, aligned at the right; an Error that begins with `op` otherwise.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

Strides contiguous_strides(const Shape& shape);
// Strides of an (N,C,H,W) shape whose memory is N,H,W,C.
Strides channels_last_strides(const Shape& shape);

}  // namespace kintsugi
