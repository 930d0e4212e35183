#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/zoo/similarity.h"

namespace kintsugi::apps::commands {

int similarity(Session& session) {
  std::string zoo_path, folder, out, split, metric = "linear-cka", features = "pooled", cache;
  std::string compat = "none", projection = "principal", exact_for;
  zoo::SimilarityOptions options;
  int64_t tokens = 16, dims = 256;
  Option which{"--split", &split, "the images (train, but test with --compat dery)"};
  which.choices = {"train", "test"};
  Option kind{"--metric", &metric, "linear-cka is biased, as the paper's code"};
  for (const zoo::MetricLaws& laws : zoo::metric_laws()) kind.choices.emplace_back(laws.name);
  Option rows{"--features", &features, "one mean an image, or pixels and tokens at drawn places"};
  rows.choices = {"pooled", "tokens"};
  Option as{"--compat", &compat, "dery: as the reference measures, to the last detail"};
  as.choices = {"none", "dery"};
  const std::string group = "Linear regression, CCA and SVCCA";
  Option method{"--projection", &projection, "of every position, before anything else", group};
  method.choices = {"principal", "random", "none"};
  if (!session.parse(
          "The similarity of all positions of all networks of a zoo, on the same images.",
          {required({"--zoo", &zoo_path, "ZOO.json"}),
           required({"--data", &folder, "a folder of images"}),
           required({"--out", &out, "SIM.json"}),
           kind,
           {"--images", &options.images,
            "at most, the first of the seeded order (0: 2048, all with --compat dery)", "Options",
            false, 0},
           {"--batch-size", &options.batch_size,
            "images of a batch of a CKA (0: 256, 2048 with --compat dery)", "Options", false, 0},
           which,
           rows,
           {"--tokens", &tokens, "rows an image of --features tokens", "Options", false, 1, 1e6},
           {"--cache", &cache, "a folder: what is measured stays there, and is not measured again"},
           {"--max-memory", &options.max_memory, "bytes; more is refused beforehand", "Options",
            false, 1},
           as,
           method,
           {"--dims", &dims, "of the projection, at most", group, false, 1, 1e6},
           {"--ridge", &options.ridge, "of the mean squared singular value", group, false, 0},
           {"--exact", &exact_for, "PARTITION.json: its pairs without the projection", group}})) {
    return 0;
  }
  options.seed = session.seed();
  for (size_t i = 0; i < zoo::metric_laws().size(); ++i) {
    if (metric == zoo::metric_laws()[i].name) options.metric = zoo::Metric(i);
  }
  using Method = solvers::Projection::Method;
  options.projection.method = projection == "principal" ? Method::kPrincipal
                              : projection == "random"  ? Method::kRandom
                                                        : Method::kNone;
  options.projection.dims = size_t(dims);
  if (features == "tokens") options.tokens = tokens;
  options.cache = cache;
  const bool dery = compat == "dery";
  if (dery) options.compat = zoo::SimilarityCompat::kDery;
  std::vector<zoo::ZooMember> members = zoo::load_zoo(zoo::read_zoo(zoo_path));
  if (!exact_for.empty()) {
    options.exact = zoo::pairs_of(zoo::read_partition(exact_for), members);
  }
  std::shared_ptr<const zoo::Dataset> data = zoo::open_dataset(
      folder, split == "test" || (split.empty() && dery) ? zoo::Split::kTest : zoo::Split::kTrain);
  const zoo::SimilarityCost cost = zoo::similarity_cost(members, data->size(), options);
  Progress progress("similarity");
  const zoo::SimilarityFile file = zoo::similarity_of(
      members, std::move(data), options, [&](double done) { progress.update(done); },
      session.stop(), [&](const std::string& text) { progress.line("similarity: " + text); });
  zoo::write_similarity(out, file);
  if (session.json()) {
    const Json json{{"out", out},
                    {"metric", file.metric},
                    {"images", file.images},
                    {"models", file.models.size()},
                    {"positions", file.similarity.rows},
                    {"exact_pairs", file.exact.size()},
                    {"memory_bytes", cost.memory},
                    {"cache_bytes", cost.cache},
                    {"seconds", progress.seconds()}};
    std::cout << json.dump() << "\n";
  } else {
    std::cout << out << ": " << file.metric << " of " << file.similarity.rows << " positions of "
              << file.models.size() << " networks on " << file.images << " images, "
              << duration(progress.seconds()) << "\n";
  }
  return 0;
}

}  // namespace kintsugi::apps::commands
