#include "kintsugi/zoo/similarity/features.h"

#include <algorithm>

#include "kintsugi/engine/core/random.h"
#include "kintsugi/engine/ops/layout.h"

namespace kintsugi::zoo {

namespace {

constexpr int64_t kAtOnce = 32;  // images of one forward pass: activations are wide

// Rows of one chunk's feature at the drawn places.
Tensor sample(const Tensor& feature, const nn::FeatureShape& shape, std::span<const int64_t> images,
              const FeatureOptions& options) {
  const Tensor tokens = shape.is_grid() ? ops::grid_to_tokens(feature) : feature;
  const int64_t per_image = shape.prefix_tokens + shape.h * shape.w;
  std::vector<int64_t> rows;
  for (size_t i = 0; i < images.size(); ++i) {
    for (int64_t t = 0; t < options.tokens; ++t) {
      const auto bits =
          philox4x32({uint32_t(t), uint32_t(images[i]), uint32_t(images[i] >> 32), 0x70ce5},
                     {uint32_t(options.seed), uint32_t(options.seed >> 32)});
      const auto y = int64_t(unit_float(bits[0]) * float(shape.h));
      const auto x = int64_t(unit_float(bits[1]) * float(shape.w));
      const int64_t at =
          shape.prefix_tokens + std::min(y, shape.h - 1) * shape.w + std::min(x, shape.w - 1);
      rows.push_back(int64_t(i) * per_image + at);
    }
  }
  return ops::gather(tokens.contiguous().view({-1, shape.c}), 0,
                     Tensor::from({int64_t(rows.size())}, rows).to(feature.device()));
}

}  // namespace

std::vector<Tensor> features_of(ZooMember& member, const Loader& loader,
                                std::span<const int64_t> images, std::span<const int64_t> positions,
                                const FeatureOptions& options,
                                const std::function<void(int64_t)>& progress,
                                std::stop_token stop) {
  nn::Network& network = *member.loaded.network;
  network.train(false);
  const auto count = int64_t(images.size());
  const Device device = Context::current().device;
  std::vector<Tensor> out;
  std::vector<std::vector<size_t>> wanted(static_cast<size_t>(network.positions()));
  for (const int64_t position : positions) {
    wanted.at(size_t(position)).push_back(out.size());
    const int64_t channels = network.feature_at(position).c;
    out.push_back(Tensor::empty({options.rows(count), channels}, DType::kF32, device));
  }
  autograd::NoGrad no_grad;
  const Preprocessing& preprocessing = member.loaded.card.preprocessing;
  for (int64_t first = 0; first < count; first += kAtOnce) {
    if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "similarity: stopped");
    const auto chunk = images.subspan(size_t(first), size_t(std::min(kAtOnce, count - first)));
    const Batch pixels = loader.batch_of(chunk);
    const Tensor x = normalise(pixels, preprocessing.mean, preprocessing.std);
    network.forward_features(nn::Variable(x), [&](int64_t position, const nn::Variable& feature) {
      if (wanted[size_t(position)].empty()) return;
      const Tensor rows =
          options.tokens > 0 ? sample(feature.value(), network.feature_at(position), chunk, options)
                             : nn::pooled(nn::Variable(feature.value().to(DType::kF32)));
      for (const size_t k : wanted[size_t(position)]) {
        const int64_t begin = options.rows(first);
        out[k].slice(0, begin, begin + rows.size(0)).copy_from(rows);
      }
    });
    if (progress) progress(first + int64_t(chunk.size()));
  }
  return out;
}

}  // namespace kintsugi::zoo
