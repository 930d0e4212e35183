#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/apps/training.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/load.h"
#include "kintsugi/zoo/hub.h"

namespace kintsugi::apps::commands {

namespace {

// Everything but the head; a catalogued network has no stitches.
void freeze_backbone(nn::Network& network) {
  network.freeze();
  network.head()->freeze(false);
}

}  // namespace

int finetune(Session& session) {
  std::string model, weights, plan_path, folder, out, plan_out, checkpoint;
  int64_t limit = 0, fit_images = 0;
  bool fresh = false, freeze = false;
  TrainSettings settings;
  settings.lr = 3e-4;
  std::vector<Option> options{
      {"--plan", &plan_path, "PLAN.json: train the reassembled network"},
      {"--model", &model, "a catalog name (default: what the weights' card says)"},
      {"--weights", &weights, "trained weights to start from, where there is no plan"},
      required({"--data", &folder, "a folder of images with a training and a test split"}),
      required({"--out", &out, "the weights file to write (safetensors)"}),
      {"--plan-out", &plan_out, "the plan with these weights (default: OUT.plan.json)"},
      {"--freeze", &freeze, "train stitches and head only; without a plan the head only"},
      {"--fit-images", &fit_images,
       "first fit the stitches by least squares on so many images (0: do not)", "Options", false,
       0},
      {"--checkpoint", &checkpoint, "where to go on from (default: OUT.checkpoint)"},
      {"--fresh", &fresh, "start anew although there is a checkpoint"},
      {"--limit", &limit, "training images, the first of the seeded order (0: all)", "Options",
       false, 0}};
  for (Option& option : settings.options()) options.push_back(std::move(option));
  if (!session.parse("Trains a network further from its weights, or a reassembled network from its "
                     "plan, and measures it on the test split.",
                     options)) {
    return 0;
  }
  if (plan_path.empty() == weights.empty()) {
    fail(ErrorKind::kUsage, "got ", plan_path.empty() ? "neither" : "both",
         " --plan and --weights, expected one of them");
  }
  if (plan_path.empty() && fit_images > 0) {
    fail(ErrorKind::kUsage, "--fit-images: only a --plan has stitches to fit");
  }
  if (!plan_path.empty() && settings.drop_path > 0) {
    fail(ErrorKind::kUsage, "--drop-path: the blocks of a --plan have none");
  }
  settings.seed = session.seed();
  const std::shared_ptr<const zoo::Dataset> all = zoo::open_dataset(folder, zoo::Split::kTrain);
  const std::shared_ptr<const zoo::Dataset> test = zoo::open_dataset(folder, zoo::Split::kTest);
  const auto data = first_of(all, limit, session.seed());

  zoo::LoadedNetwork loaded;
  zoo::PlanFile plan;
  if (plan_path.empty()) {
    zoo::LoadOptions load;
    load.classes = int64_t(all->classes().size());
    load.seed = session.seed();
    load.drop_path = settings.drop_path;
    loaded = zoo::load_network(model, weights, load);
    if (freeze) freeze_backbone(*loaded.network);
  } else {
    plan = zoo::read_plan(plan_path);
    loaded = zoo::load_plan(plan, session.seed());
    if (freeze) zoo::freeze_sources(*loaded.network);
  }
  nn::Network& network = *loaded.network;
  const std::string name = plan_path.empty() ? loaded.card.architecture : "reassembled";
  const std::string source = plan_path.empty() ? weights : plan_path;

  Resume resume;
  resume.checkpoint = checkpoint.empty() ? out + ".checkpoint" : checkpoint;
  resume.fresh = fresh;
  resume.subject = "sha256 " + zoo::sha256_of_weights(source) + (freeze ? ", frozen" : "") +
                   (fit_images ? ", fitted on " + std::to_string(fit_images) : "") + ", " +
                   std::to_string(data->size()) + " of " + std::to_string(all->size()) + " " +
                   all->kind() + " images";
  const bool going_on = !fresh && std::filesystem::exists(resume.checkpoint);
  if (fit_images > 0 && !going_on) {
    Progress fitting("fit stitches");
    zoo::fit_stitches(
        network, plan, data, fit_images, session.seed(), [&](double done) { fitting.update(done); },
        session.stop());
  }
  Progress progress("finetune " + name);
  const Trained trained =
      train_network(network, loaded.card, data, settings, resume, progress, session.stop());
  Progress measuring("eval " + name);
  const double images = double(test->size());
  const nn::Evaluation result = evaluate(network, loaded.card, test, 256, [&](int64_t done) {
    measuring.update(double(done) / images);
  });

  loaded.card.labels = all->classes();
  loaded.card.facts = {{"command", session.command_line()},
                       {"from", std::filesystem::path(source).filename().string()},
                       {"seed", std::to_string(session.seed())},
                       {"epochs", std::to_string(settings.epochs)},
                       {"data", all->kind()},
                       {"images", std::to_string(data->size())},
                       {"test_images", std::to_string(result.images)},
                       {"top1", fixed(result.top1, 2)},
                       {"top5", fixed(result.top5, 2)},
                       {"loss", fixed(result.loss, 4)},
                       {"hours", fixed(trained.seconds / 3600, 3)}};
  zoo::save_network(out, network, loaded.card);
  if (!plan_path.empty()) {
    plan.weights = out;
    zoo::write_plan(plan_out.empty() ? out + ".plan.json" : plan_out, plan);
  }
  std::filesystem::remove(resume.checkpoint);
  print_trained(session, out, result, trained, settings);
  return 0;
}

}  // namespace kintsugi::apps::commands
