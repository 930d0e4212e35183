#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <numeric>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/paths.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/datasets/images.h"
#include "kintsugi/zoo/dissect.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::apps::commands {

namespace {

// Image files named one by one; all of one class, which nobody asks for.
class Pictures : public zoo::Dataset {
 public:
  Pictures(std::vector<std::string> paths, int64_t max_pixels)
      : paths_(std::move(paths)), max_pixels_(max_pixels) {}
  int64_t size() const override { return int64_t(paths_.size()); }
  const std::vector<std::string>& classes() const override { return classes_; }
  int64_t label(int64_t) const override { return 0; }
  std::string kind() const override { return "image files"; }
  zoo::Image image(int64_t index) const override {
    const auto decoded = std::make_shared<const zoo::DecodedImage>(
        zoo::read_image(paths_.at(size_t(index)), max_pixels_));
    return {decoded->height, decoded->width, decoded->channels, decoded->pixels, decoded};
  }

 private:
  const std::vector<std::string> paths_;
  const std::vector<std::string> classes_{"image"};
  const int64_t max_pixels_;
};

// The card's labels, ImageNet's for a network of its 1,000 classes, else numbers.
std::vector<std::string> names_of(const zoo::Card& card, int64_t classes) {
  if (int64_t(card.labels.size()) == classes) return card.labels;
  std::vector<std::string> names;
  if (classes == 1000) {
    std::ifstream in(find_share() / "imagenet_classes.txt");
    for (std::string line; std::getline(in, line);) {
      if (!line.starts_with('#')) names.push_back(line.substr(line.find(' ') + 1));
    }
  }
  for (auto i = int64_t(names.size()); i < classes; ++i) names.push_back(std::to_string(i));
  return names;
}

std::vector<double> softmax(const std::vector<float>& logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  std::vector<double> out;
  for (const float logit : logits) out.push_back(std::exp(logit - most));
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& value : out) value /= sum;
  return out;
}

}  // namespace

int predict(Session& session) {
  std::string model, weights;
  std::vector<std::string> paths;
  int64_t size = 0, top = 5, max_pixels = zoo::DatasetOptions().max_pixels;
  if (!session.parse(
          "The most probable classes of image files (JPEG or PNG).",
          {required({"IMAGE", &paths, "image files"}),
           {"--model", &model, "a catalog name (default: what the card says)"},
           required({"--weights", &weights, "a weights file, a hub folder or a PLAN.json"}),
           {"--top", &top, "classes to print", "Options", false, 1},
           {"--img-size", &size, "height and width of the network's input (0: its own)", "Options",
            false, 0},
           {"--max-pixels", &max_pixels, "of one image file", "Options", false, 1}})) {
    return 0;
  }
  zoo::LoadOptions load;
  if (size > 0) load.size = {size, size};
  const zoo::LoadedNetwork loaded = zoo::load_network(model, weights, load);
  nn::Network& network = *loaded.network;
  if (loaded.card.classes == 0) {
    fail(ErrorKind::kUsage, weights, ": the network has no classifier, only features");
  }
  network.train(false);
  const std::vector<std::string> names = names_of(loaded.card, network.classes());
  zoo::LoaderOptions options = zoo::loader_options(network.input(), loaded.card.preprocessing, 1);
  options.prefetch = 0;
  const zoo::Loader loader(std::make_shared<Pictures>(paths, max_pixels), options);
  autograd::NoGrad no_grad;
  const std::stop_token stop = session.stop();
  const auto count = size_t(std::min(top, network.classes()));
  Json results = Json::array();
  bool all_well = true;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "stopped");
    Json result{{"image", paths[i]}};
    try {
      const zoo::Batch batch = loader.batch_of(std::vector{int64_t(i)});
      const auto& images = loaded.card.preprocessing;
      const autograd::Variable x(zoo::normalise(batch, images.mean, images.std));
      const auto probabilities = softmax(network(x).value().to_vector<float>());
      std::vector<size_t> order(probabilities.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::partial_sort(order.begin(), order.begin() + ptrdiff_t(count), order.end(),
                        [&](size_t a, size_t b) {
                          return std::pair(-probabilities[a], a) < std::pair(-probabilities[b], b);
                        });
      if (!session.json()) std::cout << paths[i] << "\n";
      for (size_t rank = 0; rank < count; ++rank) {
        const size_t at = order[rank];
        result["top"].push_back(
            {{"class", at}, {"name", names[at]}, {"probability", probabilities[at]}});
        if (!session.json()) {
          std::cout << "  " << fixed(100 * probabilities[at], 2) << " %  " << names[at] << "\n";
        }
      }
    } catch (const Error& error) {
      // The others are not to blame.
      all_well = false;
      result["error"] = error.what();
      say(session, error.what());
    }
    results.push_back(std::move(result));
  }
  if (session.json()) std::cout << results.dump(1) << "\n";
  return all_well ? 0 : 1;
}

}  // namespace kintsugi::apps::commands
