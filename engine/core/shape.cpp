#include "kintsugi/engine/core/shape.h"

#include <algorithm>

#include "kintsugi/engine/core/error.h"

namespace kintsugi {

Dims::Dims(std::span<const int64_t> values) {
  if (values.size() > kMaxRank) {
    fail(ErrorKind::kShape, "shape: got ", values.size(), " dimensions, expected at most ", kMaxRank);
  }
  std::copy(values.begin(), values.end(), values_.begin());
  rank_ = static_cast<int>(values.size());
}

Dims Dims::filled(int rank, int64_t value) {
  Dims dims;
  for (int i = 0; i < rank; ++i) dims.push_back(value);
  return dims;
}

void Dims::push_back(int64_t value) { insert(rank_, value); }

void Dims::insert(int at, int64_t value) {
  if (rank_ == kMaxRank) fail(ErrorKind::kShape, "shape: more than ", kMaxRank, " dimensions");
  if (at < 0 || at > rank_) fail(ErrorKind::kShape, "shape: cannot insert at ", at, " of ", str());
  std::copy_backward(values_.begin() + at, values_.begin() + rank_, values_.begin() + rank_ + 1);
  values_[at] = value;
  ++rank_;
}

void Dims::erase(int at) {
  at = index(at);
  std::copy(values_.begin() + at + 1, values_.begin() + rank_, values_.begin() + at);
  --rank_;
}

int64_t Dims::numel() const {
  int64_t product = 1;
  bool overflow = false;
  for (int64_t extent : *this) {
    if (extent < 0) fail(ErrorKind::kShape, "shape: negative extent in ", str());
    // A zero anywhere makes the product zero, whatever the others are.
    overflow |= __builtin_mul_overflow(product, extent, &product);
  }
  if (overflow && std::find(begin(), end(), 0) == end()) {
    fail(ErrorKind::kShape, "shape: ", str(), " has more elements than 64 bits count");
  }
  return overflow ? 0 : product;
}

std::string Dims::str() const {
  std::string out = "(";
  for (int i = 0; i < rank_; ++i) out += (i ? "," : "") + std::to_string(values_[i]);
  return out + ")";
}

bool operator==(const Dims& a, const Dims& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

int Dims::index(int dim) const { return normalise_dim("shape", dim, rank_); }

std::ostream& operator<<(std::ostream& out, const Dims& dims) { return out << dims.str(); }

int normalise_dim(const char* op, int dim, int rank) {
  if (dim < -rank || dim >= rank) {
    fail(ErrorKind::kShape, op, ": got dimension ", dim, ", expected one of ", rank, " dimensions");
  }
  return dim < 0 ? dim + rank : dim;
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  Shape out = Shape::filled(std::max(a.rank(), b.rank()), 1);
  for (int i = 1; i <= out.rank(); ++i) {
    const int64_t x = i <= a.rank() ? a[-i] : 1;
    const int64_t y = i <= b.rank() ? b[-i] : 1;
    if (x != y && x != 1 && y != 1) {
      fail(ErrorKind::kShape, op, ": shapes ", a, " and ", b, " do not broadcast");
    }
    out[-i] = x == 1 ? y : x;
  }
  return out;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = Strides::filled(shape.rank(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i) {
    strides[i] = strides[i + 1] * std::max<int64_t>(shape[i + 1], 1);
  }
  return strides;
}

Strides channels_last_strides(const Shape& shape) {
  if (shape.rank() != 4) fail(ErrorKind::kShape, "channels last: got ", shape, ", expected (N,C,H,W)");
  const int64_t c = shape[1], h = shape[2], w = shape[3];
  return {h * w * c, 1, w * c, c};
}

}  // namespace kintsugi
