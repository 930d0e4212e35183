// The closed-form initialisation of stitches (declared in assemble.h).
#include "kintsugi/engine/ops/layout.h"
#include "kintsugi/solvers/least_squares.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/datasets/shuffle.h"
#include "kintsugi/zoo/homes.h"
#include "kintsugi/zoo/proxies/batch.h"

namespace kintsugi::zoo {

namespace {

// Places taken of an image's grid: neighbouring pixels say nearly the same.
constexpr int64_t kPlacesPerImage = 64;

// The same places of every image in both matrices, or all where there are few.
void sample_places(Tensor& x, Tensor& y, int64_t images, uint64_t seed, uint64_t batch) {
  const int64_t places = x.size(0) / images;
  if (places <= kPlacesPerImage) return;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < images; ++i) {
    for (int64_t p = 0; p < kPlacesPerImage; ++p) {
      const auto bits = draw(seed, kSubsetStream, uint64_t(i * kPlacesPerImage + p), batch);
      rows.push_back(i * places + int64_t(below(uint64_t(places), bits[0], bits[1])));
    }
  }
  const Tensor index = Tensor::from<int64_t>({int64_t(rows.size())}, rows).to(x.device());
  x = ops::gather(x, 0, index);
  y = ops::gather(y, 0, index);
}

}  // namespace

std::vector<FitResult> fit_stitches(nn::Network& network, const PlanFile& plan,
                                    std::shared_ptr<const Dataset> data, int64_t images,
                                    uint64_t seed, const std::function<void(double)>& progress,
                                    std::stop_token stop) {
  constexpr int64_t kBatch = 128;
  const std::vector<size_t> stitches = stitch_indices(network);
  const std::vector<size_t> right_of = stitched_blocks(plan);
  if (stitches.size() != right_of.size()) {
    fail(ErrorKind::kUsage, "fit: the network has ", stitches.size(), " stitches, its plan ",
         right_of.size());
  }
  const std::vector<int64_t> chosen = seeded_images(data, images, seed);
  Homes homes(plan, data);
  autograd::NoGrad no_grad;
  network.train(false);

  std::vector<FitResult> results;
  for (size_t s = 0; s < stitches.size(); ++s) {
    auto& stitch = dynamic_cast<nn::Stitch&>(*network.blocks()[stitches[s]].module);
    std::optional<solvers::LeastSquares> squares;
    std::vector<double> sum(size_t(stitch.in().c)), sum2(size_t(stitch.in().c));
    double count = 0;
    for (size_t begin = 0; begin < chosen.size(); begin += kBatch) {
      if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "fit: stopped");
      const std::span<const int64_t> part(chosen.data() + begin,
                                          std::min<size_t>(kBatch, chosen.size() - begin));
      const Tensor pixels =
          proxy_batch(data, {part.begin(), part.end()}, network.input(), plan.preprocessing).images;
      const nn::Variable left =
          network.run((*network.stem())(nn::Variable(pixels)), 0, int64_t(stitches[s]));
      Tensor x = stitch.rows(left), y = homes.input_rows(right_of[s], part);
      if (x.size(0) != y.size(0)) {
        fail(ErrorKind::kShape, "fit: stitch ", s + 1, " gives ", x.size(0), " places, its target has ",
             y.size(0));
      }
      sample_places(x, y, int64_t(part.size()), seed, begin);
      x = x.to(kCpu).to(DType::kF32);
      y = y.to(kCpu).to(DType::kF32);
      if (!squares) squares.emplace(size_t(x.size(1)), size_t(y.size(1)));
      squares->add(x.data<float>(), y.data<float>(), size_t(x.size(0)));
      const int64_t taps = stitch.stride() * stitch.stride();
      const float* values = x.data<float>();
      for (int64_t i = 0; i < x.numel(); ++i) {
        const size_t channel = size_t(i % x.size(1) / taps);
        sum[channel] += double(values[i]);
        sum2[channel] += double(values[i]) * double(values[i]);
      }
      count += double(x.size(0) * taps);
      if (progress) {
        progress((double(s) + double(begin + part.size()) / double(chosen.size())) /
                 double(stitches.size()));
      }
    }
    const solvers::LeastSquaresFit fit = squares->solve(1e-6, {.stop = stop});
    std::vector<double> mean, variance;
    for (size_t c = 0; c < sum.size(); ++c) {
      mean.push_back(sum[c] / count);
      variance.push_back(std::max(0.0, sum2[c] / count - mean[c] * mean[c]));
    }
    const int64_t channels = int64_t(sum.size());
    stitch.set_projection(
        Tensor::from<double>({int64_t(fit.weight.rows), int64_t(fit.weight.cols)}, fit.weight.values),
        Tensor::from<double>({int64_t(fit.bias.size())}, fit.bias),
        Tensor::from<double>({channels}, mean), Tensor::from<double>({channels}, variance));
    results.push_back({fit.r2});
  }
  return results;
}

}  // namespace kintsugi::zoo
