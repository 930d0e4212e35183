#include "kintsugi/zoo/load.h"

#include "kintsugi/engine/ops/layout.h"
#include "kintsugi/engine/ops/reduce.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/hub.h"
#include "kintsugi/zoo/weights/folded_norms.h"

namespace kintsugi::zoo {

namespace {

// timm's rule: one channel from several sums the kernels; more channels repeat them, scaled so that
// the response to equal channels stays.
Tensor adapt_input_channels(const Tensor& weight, int64_t channels) {
  const int64_t from = weight.size(1);
  if (from == channels) return weight;
  if (channels == 1) return ops::sum(weight, {1}, true);
  Tensor out = Tensor::empty({weight.size(0), channels, weight.size(2), weight.size(3)});
  const double scale = double(from) / double(channels);
  for (int64_t c = 0; c < channels; ++c) {
    out.slice(1, c, c + 1).copy_from(weight.slice(1, c % from, c % from + 1));
  }
  float* values = out.data<float>();
  for (int64_t i = 0; i < out.numel(); ++i) values[i] = float(values[i] * scale);
  return out;
}

// mean and std for another number of input channels.
void adapt_statistics(Preprocessing& preprocessing, int64_t channels) {
  for (auto* values : {&preprocessing.mean, &preprocessing.std}) {
    if (int64_t(values->size()) == channels) continue;
    if (channels == 1) {
      double sum = 0;
      for (const double value : *values) sum += value;
      *values = {sum / double(values->size())};
    } else {
      const std::vector<double> from = *values;
      values->clear();
      for (int64_t c = 0; c < channels; ++c) values->push_back(from[size_t(c) % from.size()]);
    }
  }
}

BuildOptions build_options(const Card& card) {
  BuildOptions options;
  options.classes = card.classes;
  options.input = card.input;
  options.naming = card.naming;
  return options;
}

}  // namespace

LoadedNetwork load_network(const std::string& model, const std::filesystem::path& path,
                           const LoadOptions& options) {
  const bool hub = std::filesystem::is_directory(path);
  ReadOptions reading;
  // What is packed may unpack to what the network needs, with its optimizer's two moments.
  if (!model.empty()) {
    reading.most_unpacked = 3 * sizeof(float) * uint64_t(build_network(model)->parameter_count());
  }
  Weights weights = read_weights(weights_file(path), reading);
  Card card = hub ? card_of_hub(path) : card_from(weights.metadata, path.string());
  if (!model.empty() && model != card.architecture) {
    if (!card.architecture.empty()) {
      fail(ErrorKind::kUsage, path.string(), ": holds a ", card.architecture, ", expected a ",
           model);
    }
    card = card_of(find_variant(model));
  }
  if (card.architecture.empty()) {
    fail(ErrorKind::kUsage, path.string(), ": has no card; say which architecture it is");
  }
  BuildOptions build = build_options(card);
  build.drop_path = options.drop_path;
  if (options.size > 0) build.input[1] = build.input[2] = options.size;
  const Variant& variant = find_variant(card.architecture);
  const std::string naming = variant.rename ? variant.rename(weights.tensors) : "";
  if (!naming.empty()) build.naming = naming;
  const auto probe = build_network(card.architecture, build);
  unfold_norms(weights.tensors, *probe);
  // A file of another number of input channels or classes than its card or the catalog says is told
  // by its shapes, where the names are there.
  const auto conv = weights.tensors.find(probe->first_conv);
  if (conv != weights.tensors.end() && conv->second.rank() == 4) {
    const int64_t wanted = options.channels > 0 ? options.channels : build.input[0];
    if (conv->second.size(1) != wanted) conv->second = adapt_input_channels(conv->second, wanted);
    build.input[0] = wanted;
    adapt_statistics(card.preprocessing, wanted);
  }
  const auto head = weights.tensors.find(probe->classifier + ".weight");
  const bool new_head = options.classes > 0 && options.classes != card.classes;
  if (new_head) {
    build.classes = options.classes;
  } else if (options.classes == 0 && head != weights.tensors.end() && head->second.rank() >= 2) {
    build.classes = head->second.size(0);
  }
  if (variant.resample) variant.resample(weights.tensors, build);
  auto network = build_network(card.architecture, build);
  if (new_head) {
    Generator generator(options.seed);
    network->initialise(generator);
    // A distilled network has a second classifier, "head_dist" beside "head".
    for (const auto& [name, tensor] : network->state()) {
      if (name.starts_with(network->classifier)) weights.tensors[name] = tensor;
    }
    card.labels.clear();
  }
  try {
    network->load_state(std::move(weights.tensors));
  } catch (const Error& error) {
    throw Error(error.kind(), path.string() + ": " + error.what(), error.details());
  }
  card.classes = build.classes;
  card.input = build.input;
  card.naming = build.naming;
  return {network, card};
}

LoadedNetwork fresh_network(const std::string& model, const BuildOptions& options, uint64_t seed) {
  auto network = build_network(model, options);
  Generator generator(seed);
  network->initialise(generator);
  Card card = card_of(find_variant(model));
  card.classes = network->classes();
  card.input = network->input();
  adapt_statistics(card.preprocessing, card.input[0]);
  return {network, card};
}

LoadedNetwork open_network(const std::string& what, bool with_weights) {
  namespace fs = std::filesystem;
  if (fs::is_directory(what)) {
    if (with_weights) return load_network("", what);
    const Card card = card_of_hub(what);
    return {build_network(card.architecture, build_options(card)), card};
  }
  if (fs::is_regular_file(what)) {
    if (what.ends_with(".json") && !what.ends_with(".index.json")) {
      const PlanFile plan = read_plan(what);
      if (with_weights) return load_plan(plan);
      Card card{.classes = plan.classes,
                .input = plan.input,
                .preprocessing = plan.preprocessing,
                .labels = plan.labels};
      return {build_plan(plan), card};
    }
    return load_network("", what);
  }
  if (with_weights)
    fail(ErrorKind::kUsage, "model: '", what, "' is a name; its weights are missing");
  const Variant& variant = find_variant(what);
  return {build_network(what), card_of(variant)};
}

void save_network(const std::filesystem::path& path, const nn::Network& network, const Card& card) {
  Weights weights;
  weights.tensors = network.state();
  put_card(weights.metadata, card);
  write_weights(path, weights);
}

}  // namespace kintsugi::zoo
