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

void set_size(Shape& input, const Shape& size) {
  if (size.rank() == 0) return;
  if (size.rank() != 2) fail(ErrorKind::kUsage, "size: got ", size, ", expected (H,W)");
  input[1] = size[0];
  input[2] = size[1];
}

// By its name, since weights are never JSON but for an index of shards.
bool is_plan(const std::filesystem::path& path) {
  const std::string name = path.string();
  return name.ends_with(".json") && !name.ends_with(".index.json") &&
         std::filesystem::is_regular_file(path);
}

void check_plan_options(const PlanFile& plan, const std::filesystem::path& path,
                        const LoadOptions& options) {
  const Shape own{plan.input[1], plan.input[2]};
  if (options.size.rank() > 0 && options.size != own) {
    fail(ErrorKind::kUsage, path.string(), ": got images of ", options.size, ", expected ", own,
         ", the plan's");
  }
  if (options.classes > 0 && options.classes != plan.classes) {
    fail(ErrorKind::kUsage, path.string(), ": a plan has its own classes, ", plan.classes);
  }
}

}  // namespace

LoadedNetwork load_network(const std::string& model, const std::filesystem::path& path,
                           const LoadOptions& options) {
  if (model.empty() && is_plan(path)) {
    const PlanFile plan = read_plan(path);
    check_plan_options(plan, path, options);
    return load_plan(plan, options.seed);
  }
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
  set_size(build.input, options.size);
  const Variant& variant = find_variant(card.architecture);
  const std::string naming = variant.rename ? variant.rename(weights.tensors) : "";
  if (!naming.empty()) build.naming = naming;
  BuildOptions with_head = build;
  with_head.classes = std::max<int64_t>(1, build.classes);
  const auto probe = build_network(card.architecture, with_head);
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
  card.classes = network->classifier.empty() ? 0 : network->classes();
  card.input = network->input();
  adapt_statistics(card.preprocessing, card.input[0]);
  return {network, card};
}

LoadedNetwork open_network(const std::string& what, const LoadOptions& options) {
  namespace fs = std::filesystem;
  Card card;
  if (is_plan(what)) {
    const PlanFile plan = read_plan(what);
    check_plan_options(plan, what, options);
    card = {.classes = plan.classes,
            .input = plan.input,
            .preprocessing = plan.preprocessing,
            .labels = plan.labels};
    return {build_plan(plan), card};
  }
  if (fs::is_regular_file(what)) return load_network("", what, options);
  card = fs::is_directory(what) ? card_of_hub(what) : card_of(find_variant(what));
  set_size(card.input, options.size);
  if (options.classes > 0) card.classes = options.classes;
  return {build_network(card.architecture, build_options(card)), card};
}

void save_network(const std::filesystem::path& path, const nn::Network& network, const Card& card) {
  Weights weights;
  weights.tensors = network.state();
  put_card(weights.metadata, card);
  write_weights(path, weights);
}

}  // namespace kintsugi::zoo
