#include "kintsugi/zoo/similarity/grams.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/ops/gram.h"

namespace kintsugi::zoo::similarity {

namespace {

constexpr int64_t kSlices = int64_t{16} << 20;  // floats of all Grams that are multiplied at once
constexpr int64_t kRun = 256;                   // a slice is whole runs of add_row_products

int64_t slice_width(int64_t positions, int64_t floats) {
  return std::min(floats, std::max<int64_t>(1, kSlices / positions / kRun) * kRun);
}

double gram_on_host(const Tensor& features, size_t position, const solvers::CkaOptions& options,
                    Tensor& packed) {
  return solvers::unit_gram(features.data<float>(), size_t(features.size(0)),
                            size_t(features.size(1)), position, options, packed.data<float>());
}

}  // namespace

Grams grams_of(std::vector<Tensor> features, const solvers::CkaOptions& options,
               const std::function<void()>& check) {
  const Device device = features.front().device();
  const auto floats = int64_t(solvers::packed_gram(size_t(features.front().size(0))));
  const auto count = int64_t(features.size());
  const ops::GramKind kind{options.kernel == solvers::CkaKernel::kRbf,
                           options.estimator == solvers::CkaEstimator::kUnbiased};
  Grams out;
  Tensor norms = Tensor::empty({count}, DType::kF64, device);
  for (int64_t p = 0; p < count; ++p) {
    check();
    Tensor packed = Tensor::empty({1, floats}, DType::kF32, device);
    if (device == kCpu) {
      norms.data<double>()[p] = gram_on_host(features[size_t(p)], size_t(p), options, packed);
      features[size_t(p)] = {};
    } else {
      Tensor norm = norms.slice(0, p, p + 1);
      ops::unit_gram(features[size_t(p)], kind, packed, norm);
    }
    out.packed.push_back(std::move(packed));
  }
  out.norms = norms.to_vector<double>();
  if (device == kCpu) return out;
  // One wait for the device a network. The host says which channel holds a NaN.
  for (size_t p = 0; p < features.size(); ++p) {
    if (std::isfinite(out.norms[p])) continue;
    Tensor packed = Tensor::empty({1, floats});
    out.norms[p] = gram_on_host(features[p].to(kCpu), p, options, packed);
    out.packed[p].copy_from(packed);
  }
  return out;
}

solvers::Matrix products_on(Device device, std::span<const Tensor> packed,
                            const std::function<void()>& check) {
  const auto positions = int64_t(packed.size());
  const int64_t floats = packed.front().size(1), width = slice_width(positions, floats);
  Tensor products = Tensor::zeros({positions, positions}, DType::kF64, device);
  for (int64_t begin = 0; begin < floats; begin += width) {
    check();
    const int64_t end = std::min(floats, begin + width);
    const Tensor slices = Tensor::empty({positions, end - begin}, DType::kF32, device);
    for (int64_t p = 0; p < positions; ++p) {
      slices.slice(0, p, p + 1).copy_from(packed[size_t(p)].slice(1, begin, end));
    }
    ops::add_row_products(slices, products);
  }
  solvers::Matrix out;
  out.rows = out.cols = packed.size();
  out.values = products.to_vector<double>();
  return out;
}

size_t device_working_bytes(size_t positions, size_t rows) {
  const auto squares = [](size_t n, size_t bytes) { return n * n * bytes; };
  const auto floats = int64_t(solvers::packed_gram(rows));
  // Inner products and distances of one position's rows, or slices and products of all positions;
  // beside either the partial sums of add_row_products.
  const size_t one = squares(rows, 2 * sizeof(double));
  const size_t all = positions * size_t(slice_width(int64_t(positions), floats)) * sizeof(float) +
                     squares(positions, sizeof(double));
  const size_t partial =
      std::max(size_t{16} << 20, squares(std::max(positions, rows), sizeof(float)));
  return std::max(one, all) + partial;
}

}  // namespace kintsugi::zoo::similarity
