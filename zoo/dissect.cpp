#include "kintsugi/zoo/dissect.h"

#include <algorithm>

#include "kintsugi/zoo/datasets/loader.h"
#include "kintsugi/zoo/hub.h"

namespace kintsugi::zoo {

DissectedModel dissect(const std::string& name, nn::Network& network) {
  DissectedModel model;
  model.name = name;
  model.architecture = network.name();
  for (size_t i = 0; i < network.blocks().size(); ++i) {
    const nn::Network::Block& block = network.blocks()[i];
    model.nodes.push_back(block.name);
    model.costs.push_back(network.block_cost(int64_t(i)));
    model.in.push_back(block.in);
    model.out.push_back(block.out);
  }
  return model;
}

std::vector<ZooMember> load_zoo(const ZooFile& zoo) {
  if (zoo.models.size() < 2) {
    fail(ErrorKind::kUsage, "zoo: got ", zoo.models.size(),
         " network", zoo.models.size() == 1 ? "" : "s", ", expected at least two to reassemble");
  }
  std::vector<ZooMember> members;
  for (const ZooFile::Model& model : zoo.models) {
    ZooMember member{model.name.empty() ? model.model : model.name, model.weights, model.licence, {}};
    for (const ZooMember& other : members) {
      if (other.name == member.name) {
        fail(ErrorKind::kUsage, "zoo: '", member.name,
             "' is there twice; two checkpoints of one model need a \"name\" each");
      }
    }
    member.loaded = load_network(model.model, model.weights);
    if (model.classes != 0 && model.classes != member.loaded.card.classes) {
      fail(ErrorKind::kFormat, "zoo: ", member.name, " has ", member.loaded.card.classes,
           " classes, the zoo says ", model.classes);
    }
    if (!model.mean.empty()) member.loaded.card.preprocessing.mean = model.mean;
    if (!model.std.empty()) member.loaded.card.preprocessing.std = model.std;
    members.push_back(std::move(member));
  }
  return members;
}

LoaderOptions loader_options(const Shape& input, const Preprocessing& preprocessing,
                             int64_t batch_size) {
  LoaderOptions options;
  options.batch_size = batch_size;
  options.channels = int(input[0]);
  options.height = int(input[1]);
  options.width = int(input[2]);
  options.interpolation = preprocessing.interpolation == "bicubic" ? Interpolation::kBicubic
                                                                   : Interpolation::kBilinear;
  options.crop_fraction = preprocessing.crop_pct;
  return options;
}

std::vector<int64_t> seeded_images(const std::shared_ptr<const Dataset>& data, int64_t images,
                                   uint64_t seed) {
  LoaderOptions options;
  options.seed = seed;
  options.shuffle = true;
  std::vector<int64_t> order = Loader(data, options).order(0);
  if (int64_t(order.size()) > images) order.resize(size_t(images));
  return order;
}

}  // namespace kintsugi::zoo
