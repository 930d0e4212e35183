#include <cstring>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/autograd/variable.h"
#include "kintsugi/nn/fold.h"
#include "kintsugi/nn/replayed_forward.h"
#include "kintsugi/zoo/load.h"
#include "kintsugi/zoo/weights/checkpoint.h"
#include "kintsugi/zoo/weights/npy.h"

namespace kintsugi::apps::commands {

int infer(Session& session) {
  std::string model, weights, input, output;
  int64_t batch_size = 64;
  if (!session.parse(
          "Logits of images that are already normalised: X.npy float32 (N,C,H,W) to Y.npy float32 "
          "(N,classes). The network is built for the size of the images.",
          {{"--model", &model, "a catalog name (default: what the weights' card says)"},
           required({"--weights", &weights, "a weights file, a hub folder or a PLAN.json"}),
           required({"--input", &input, "X.npy"}),
           required({"--output", &output, "Y.npy"}),
           {"--batch-size", &batch_size, "images at a time", "Options", false, 1}})) {
    return 0;
  }
  const Tensor x = zoo::read_npy(input);
  if (x.dtype() != DType::kF32) {
    fail(ErrorKind::kDtype, input, ": got ", name_of(x.dtype()), ", expected f32");
  }
  if (x.rank() != 4 || x.numel() < 1) {
    fail(ErrorKind::kShape, input, ": got shape ", x.shape(), ", expected (N,C,H,W), none of them 0");
  }
  zoo::check_finite({{"images", x}}, input);
  zoo::LoadOptions load;
  load.size = {x.size(2), x.size(3)};
  const zoo::LoadedNetwork loaded = zoo::load_network(model, weights, load);
  nn::Network& network = *loaded.network;
  if (x.size(1) != network.input()[0]) {
    fail(ErrorKind::kShape, input, ": got ", x.size(1), " channels, expected ", network.input()[0]);
  }
  nn::fold_into_convolutions(network);
  autograd::NoGrad no_grad;
  nn::ReplayedForward forward(network);
  const std::stop_token stop = session.stop();
  Progress progress("infer");
  const int64_t n = x.size(0);
  Tensor y = Tensor::empty({n, network.classes()});
  for (int64_t at = 0; at < n; at += batch_size) {
    if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "stopped");
    const int64_t end = std::min(n, at + batch_size);
    const Tensor images = x.slice(0, at, end).channels_last().to(Context::current().device);
    y.slice(0, at, end).copy_from(forward(images));
    progress.update(double(end) / double(n));
  }
  zoo::write_npy(output, y);
  return 0;
}

}  // namespace kintsugi::apps::commands
