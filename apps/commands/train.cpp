#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/apps/training.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::apps::commands {

int train(Session& session) {
  std::string model, folder, out, checkpoint;
  int64_t limit = 0;
  bool fresh = false;
  TrainSettings settings;
  std::vector<Option> options{
      required({"--model", &model, "a catalog name"}),
      required({"--data", &folder, "a folder of images with a training and a test split"}),
      required({"--out", &out, "the weights file to write (safetensors)"}),
      {"--checkpoint", &checkpoint, "where to go on from (default: OUT.checkpoint)"},
      {"--fresh", &fresh, "start anew although there is a checkpoint"},
      {"--limit", &limit, "training images, the first of the seeded order (0: all)", "Options",
       false, 0}};
  for (Option& option : settings.options()) options.push_back(std::move(option));
  if (!session.parse(
          "Trains a network of the catalog and measures it on the test split. Stopped, it goes on "
          "from its last checkpoint with the same bits.",
          options)) {
    return 0;
  }
  settings.seed = session.seed();
  const std::shared_ptr<const zoo::Dataset> all = zoo::open_dataset(folder, zoo::Split::kTrain);
  const std::shared_ptr<const zoo::Dataset> test = zoo::open_dataset(folder, zoo::Split::kTest);
  const auto data = first_of(all, limit, session.seed());

  zoo::BuildOptions build;
  build.classes = int64_t(all->classes().size());
  build.drop_path = settings.drop_path;
  zoo::LoadedNetwork fresh_one = zoo::fresh_network(model, build, session.seed());
  zoo::Card& card = fresh_one.card;
  card.labels = all->classes();

  Resume resume;
  resume.checkpoint = checkpoint.empty() ? out + ".checkpoint" : checkpoint;
  resume.fresh = fresh;
  resume.subject = model + ", " + std::to_string(data->size()) + " of " +
                   std::to_string(all->size()) + " " + all->kind() + " images";
  Progress progress("train " + model);
  const Trained trained =
      train_network(*fresh_one.network, card, data, settings, resume, progress, session.stop());
  Progress measuring("eval " + model);
  const double images = double(test->size());
  const nn::Evaluation result = evaluate(*fresh_one.network, card, test, 256, [&](int64_t done) {
    measuring.update(double(done) / images);
  });

  card.facts = {{"command", session.command_line()},
                {"seed", std::to_string(session.seed())},
                {"epochs", std::to_string(settings.epochs)},
                {"data", all->kind() + " in " + std::filesystem::path(folder).filename().string()},
                {"images", std::to_string(data->size())},
                {"test_images", std::to_string(result.images)},
                {"top1", fixed(result.top1, 2)},
                {"top5", fixed(result.top5, 2)},
                {"loss", fixed(result.loss, 4)},
                {"hours", fixed(trained.seconds / 3600, 3)}};
  zoo::save_network(out, *fresh_one.network, card);
  std::filesystem::remove(resume.checkpoint);
  print_trained(session, out, result, trained, settings);
  return 0;
}

}  // namespace kintsugi::apps::commands
