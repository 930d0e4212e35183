#include <cmath>

#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/homes.h"
#include "kintsugi/zoo/proxies/proxies.h"
#include "kintsugi/zoo/proxies/scope.h"

namespace kintsugi::zoo {

namespace {

// SSE / SST of y, rows (places, channels), against what it should be.
double unexplained(const Tensor& y, const Tensor& want) {
  if (y.shape() != want.shape()) {
    fail(ErrorKind::kShape, "stitch_residual: a stitch gives ", y.shape(), ", its target is ",
         want.shape());
  }
  const int64_t rows = y.size(0), channels = y.size(1);
  const float *got = y.data<float>(), *target = want.data<float>();
  std::vector<double> mean(size_t(channels), 0);
  for (int64_t i = 0; i < y.numel(); ++i) mean[size_t(i % channels)] += double(target[i]);
  for (double& m : mean) m /= double(rows);
  double sse = 0, sst = 0;
  for (int64_t i = 0; i < y.numel(); ++i) {
    const double error = double(got[i]) - double(target[i]);
    const double spread = double(target[i]) - mean[size_t(i % channels)];
    sse += error * error;
    sst += spread * spread;
  }
  return sst > 0 ? sse / sst : (sse > 0 ? std::numeric_limits<double>::infinity() : 0);
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
  Homes homes(plan, batch.data);
  double sum = 0;
  size_t seen = 0;
  network.forward_features(
      nn::Variable(batch.images), [&](int64_t position, const nn::Variable& feature) {
        if (seen == stitches.size() || position != int64_t(stitches[seen]) + 1) return;
        const Tensor rows = feature_rows(feature.value(), network.feature_at(position));
        sum += unexplained(rows, homes.input_rows(right_of[seen], batch.indices));
        ++seen;
      });
  return -sum / double(stitches.size());
}

}  // namespace kintsugi::zoo
