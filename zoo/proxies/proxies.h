// Scores of a network without training it: the greater, the better it is held to become.
//
// All are deterministic: evaluation mode, running statistics, a class-balanced batch. A proxy
// leaves every weight, buffer, mode and gradient bit for bit as it found them. w are all
// parameters, L is the mean cross-entropy of the batch, n its number of images.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kintsugi/nn/network.h"
#include "kintsugi/zoo/files/plan_file.h"
#include "kintsugi/zoo/proxies/batch.h"

namespace kintsugi::zoo {

// |dL/dw|, the length of the whole gradient. Abdelfattah et al. 2021, "Zero-Cost Proxies for
// Lightweight NAS".
double grad_norm(nn::Network& network, const ProxyBatch& batch);

// sum |w dL/dw|. Lee et al. 2019, "SNIP: Single-shot Network Pruning based on Connection
// Sensitivity".
double snip(nn::Network& network, const ProxyBatch& batch);

// sum |w dR/dw|, R the sum of the outputs for one image of ones, where every parameter and running
// statistic is its absolute value; in float64, for R grows with the product of all layers. Tanaka
// et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow".
// The batch gives the image's shape only.
double synflow(nn::Network& network, const ProxyBatch& batch);

// sum over the channels of the outputs a of convolutions and linear layers of
// 1/2 mean over images of (sum over places of a dL/da)^2. Theis et al. 2018, "Faster gaze
// prediction with dense networks and Fisher pruning"; Turner et al. 2020, "BlockSwap".
double fisher(nn::Network& network, const ProxyBatch& batch);

// How little the input's Jacobians (of the sum of the logits) of two images are alike: see
// solvers/spectrum.h. Mellor et al. 2020, arXiv 2006.04647v1.
double jacov(nn::Network& network, const ProxyBatch& batch);

// - (greatest / least eigenvalue) of the neural tangent kernel, the inner products of the images'
// gradients of the sum of their logits. Chen et al. 2021, "Neural Architecture Search on ImageNet
// in Four GPU Hours" (TE-NAS). At most `bytes` of gradients are held at once.
double ntk(nn::Network& network, const ProxyBatch& batch, size_t bytes = size_t{1} << 30);

// How far the features behind the last stitch are from those that its next block saw at home on the
// same images: - SSE / SST over images and channels, SST about each channel's mean, features pooled
// over their places as for similarity. What earlier stitches lost shows there too; all that comes
// after has only that to go by. 0 for a network without stitches. Ours (docs/calibration.md has the
// variants that were tried).
double stitch_residual(nn::Network& network, const ProxyBatch& batch, const PlanFile& plan);

struct Proxy {
  const char* name;
  const char* source;  // paper and year
  bool needs_plan;     // of stitched networks only
  double (*score)(nn::Network& network, const ProxyBatch& batch, const PlanFile* plan);
};
std::span<const Proxy> proxies();
// The one that ranks tuned accuracies best (docs/calibration.md).
inline constexpr const char* kDefaultProxy = "stitch_residual";
// kUsage with the nearest right name.
const Proxy& find_proxy(const std::string& name);

// "naswot,synflow", or "all".
std::vector<const Proxy*> proxies_named(const std::string& names);

// kUsage where a proxy needs a plan and there is none. A network that gives NaN
// or infinite numbers has the score -infinity: it is the worst.
double score(const Proxy& proxy, nn::Network& network, const ProxyBatch& batch,
             const PlanFile* plan = nullptr);

}  // namespace kintsugi::zoo
