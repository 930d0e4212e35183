#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/subset.h"

namespace kintsugi::apps::commands {

int subset(Session& session) {
  std::string folder, out;
  int64_t train = 0, test = 0;
  if (!session.parse(
          "Writes a class-balanced part of a data set of grey images as gzipped IDX files.",
          {required({"--data", &folder, "a folder of images"}),
           required({"--out", &out, "the folder to write"}),
           {"--train", &train, "training images (0: none)", "Options", false, 0},
           {"--test", &test, "test images (0: none)", "Options", false, 0}})) {
    return 0;
  }
  if (train == 0 && test == 0) {
    fail(ErrorKind::kUsage, "got neither --train nor --test, expected at least one of them");
  }
  for (const auto& [split, count] :
       {std::pair(zoo::Split::kTrain, train), std::pair(zoo::Split::kTest, test)}) {
    if (count == 0) continue;
    const auto data = zoo::open_dataset(folder, split);
    zoo::write_idx(out, split, *data, zoo::balanced_subset(*data, count, session.seed()));
    if (!session.json()) std::cout << out << ": " << count << " " << name_of(split) << " images\n";
  }
  if (session.json()) {
    std::cout << "{\"train\":" << train << ",\"test\":" << test << "}\n";
  }
  return 0;
}

}  // namespace kintsugi::apps::commands
