#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/data.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::apps::commands {

int eval(Session& session) {
  std::string model, weights, folder, split = "test";
  int64_t size = 0, batch_size = 128, limit = 0;
  zoo::DatasetOptions reading;
  Option which{"--split", &split, "the images"};
  which.choices = {"test", "train"};
  if (!session.parse(
          "Top-1 and top-5 accuracy and mean cross-entropy on a data set.",
          {{"--model", &model, "a catalog name (default: what the card says)"},
           required({"--weights", &weights, "a weights file, a hub folder or a PLAN.json"}),
           required({"--data", &folder, "a folder of images"}),
           which,
           {"--limit", &limit, "images, the first of the seeded order (0: all)", "Options", false,
            0},
           {"--img-size", &size, "height and width of the network's input (0: its own)", "Options",
            false, 0},
           {"--max-pixels", &reading.max_pixels, "of one image file", "Options", false, 1},
           {"--batch-size", &batch_size, "images at a time", "Options", false, 1}})) {
    return 0;
  }
  zoo::LoadOptions load;
  if (size > 0) load.size = {size, size};
  const zoo::LoadedNetwork loaded = zoo::load_network(model, weights, load);
  std::shared_ptr<const zoo::Dataset> data =
      zoo::open_dataset(folder, split == "test" ? zoo::Split::kTest : zoo::Split::kTrain, reading);
  data = first_of(data, limit, session.seed());
  const double images = double(data->size());
  Progress progress("eval");
  const nn::Evaluation result = evaluate(
      *loaded.network, loaded.card, data, batch_size,
      [&](int64_t done) { progress.update(double(done) / images); }, session.stop());
  if (session.json()) {
    const Json json{{"top1", result.top1},
                    {"top5", result.top5},
                    {"images", result.images},
                    {"loss", result.loss}};
    std::cout << json.dump() << "\n";
  } else {
    std::cout << "top-1 " << fixed(result.top1, 2) << " %, top-5 " << fixed(result.top5, 2)
              << " %, loss " << fixed(result.loss, 4) << ", " << result.images << " images\n";
  }
  return 0;
}

}  // namespace kintsugi::apps::commands
