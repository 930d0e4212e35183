#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/zoo/similarity.h"

namespace kintsugi::apps::commands {

int similarity(Session& session) {
  std::string zoo_path, folder, out, split = "train", estimator = "biased";
  zoo::SimilarityOptions options;
  Option which{"--split", &split, "the images"};
  which.choices = {"train", "test"};
  Option kind{"--estimator", &estimator, "of CKA: biased, as the paper's code, or unbiased"};
  kind.choices = {"biased", "unbiased"};
  if (!session.parse(
          "Linear CKA between all positions of all networks of a zoo, on the same images.",
          {required({"--zoo", &zoo_path, "ZOO.json"}),
           required({"--data", &folder, "a folder of images"}),
           required({"--out", &out, "SIM.json"}),
           {"--images", &options.images, "at most, the first of the seeded order", "Options", false,
            4},
           {"--batch-size", &options.batch_size, "images of a batch of the estimator", "Options",
            false, 4},
           which,
           kind})) {
    return 0;
  }
  options.seed = session.seed();
  if (estimator == "unbiased") options.cka.estimator = solvers::CkaEstimator::kUnbiased;
  std::vector<zoo::ZooMember> members = zoo::load_zoo(zoo::read_zoo(zoo_path));
  std::shared_ptr<const zoo::Dataset> data =
      zoo::open_dataset(folder, split == "test" ? zoo::Split::kTest : zoo::Split::kTrain);
  Progress progress("similarity");
  const zoo::SimilarityFile file = zoo::similarity_of(
      members, std::move(data), options, [&](double done) { progress.update(done); },
      session.stop());
  zoo::write_similarity(out, file);
  if (session.json()) {
    const Json json{{"out", out},
                    {"metric", file.metric},
                    {"images", file.images},
                    {"models", file.models.size()},
                    {"positions", file.similarity.rows},
                    {"seconds", progress.seconds()}};
    std::cout << json.dump() << "\n";
  } else {
    std::cout << out << ": " << file.similarity.rows << " positions of " << file.models.size()
              << " networks on " << file.images << " images, " << duration(progress.seconds())
              << "\n";
  }
  return 0;
}

}  // namespace kintsugi::apps::commands
