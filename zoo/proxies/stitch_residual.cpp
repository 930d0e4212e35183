#include <cmath>

#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/homes.h"
#include "kintsugi/zoo/proxies/proxies.h"
#include "kintsugi/zoo/proxies/scope.h"

namespace kintsugi::zoo {

namespace {

// (N*places, C) to (N, C): the mean over an image's places.
std::vector<double> pooled(const Tensor& rows, int64_t images) {
  const int64_t places = rows.size(0) / images, channels = rows.size(1);
  std::vector<double> means(size_t(images * channels), 0);
  const Tensor here = rows.to(kCpu).to(DType::kF32);
  const float* values = here.data<float>();
  for (int64_t i = 0; i < rows.numel(); ++i) {
    means[size_t(i / channels / places * channels + i % channels)] +=
        double(values[i]) / double(places);
  }
  return means;
}

}  // namespace

double stitch_residual(nn::Network& network, const ProxyBatch& batch, const PlanFile& plan) {
  const std::vector<size_t> stitches = stitch_indices(network);
  const std::vector<size_t> right_of = stitched_blocks(plan);
  if (stitches.size() != right_of.size()) {
    fail(ErrorKind::kUsage, "stitch_residual: the network has ", stitches.size(),
         " stitches, its plan ", right_of.size());
  }
  if (stitches.empty()) return 0;
  const ProxyScope scope(network);
  const autograd::NoGrad no_grad;
  const int64_t n = batch.images.size(0), position = int64_t(stitches.back()) + 1;
  const nn::Variable feature =
      network.run((*network.stem())(nn::Variable(batch.images)), 0, position);
  const Tensor rows = feature_rows(feature.value(), network.feature_at(position));
  const Tensor wanted = Homes(plan, batch.data).input_rows(right_of.back(), batch.indices);
  if (rows.shape() != wanted.shape()) {
    fail(ErrorKind::kShape, "stitch_residual: the last stitch gives ", rows.shape(),
         ", its target is ", wanted.shape());
  }
  const std::vector<double> got = pooled(rows, n), want = pooled(wanted, n);
  const size_t channels = got.size() / size_t(n);
  double sse = 0, sst = 0;
  for (size_t c = 0; c < channels; ++c) {
    double mean = 0;
    for (size_t i = c; i < want.size(); i += channels) mean += want[i] / double(n);
    for (size_t i = c; i < want.size(); i += channels) {
      sse += (got[i] - want[i]) * (got[i] - want[i]);
      sst += (want[i] - mean) * (want[i] - mean);
    }
  }
  // A target that says nothing can be met, but not approached.
  return sse == 0 ? 0 : -sse / sst;
}

}  // namespace kintsugi::zoo
