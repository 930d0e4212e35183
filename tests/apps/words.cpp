// What is typed: commands, options, help, exit codes, one-line errors.
#include "tests/apps/run.h"

using namespace kintsugi::test;

namespace {

// Exit code, and a single line that holds all the parts.
void check_refused(const std::vector<std::string>& words, int code,
                   const std::vector<std::string>& parts) {
  const Outcome outcome = kintsugi::test::kintsugi(words);
  CAPTURE(outcome.err);
  CHECK(outcome.code == code);
  CHECK(outcome.out == "");
  CHECK(outcome.error_lines() == 1);
  for (const std::string& part : parts) CHECK(outcome.err.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("words: an unknown command, option or name is refused with the nearest right one") {
  check_refused({"modles"}, 2, {"kintsugi: got 'modles'", "did you mean 'models'"});
  check_refused({"train", "--modle", "x"}, 2, {"kintsugi train: got '--modle'", "'--model'"});
  check_refused({"inspect", "resnet_nanp"}, 2, {"kintsugi inspect", "did you mean 'resnet_nano'"});
  check_refused({"train", "--optimizer", "adam"}, 2, {"got 'adam'", "adamw, sgd"});
  check_refused({"models", "--device", "gpu"}, 2, {"got 'gpu'", "cpu or cuda[:i]"});
}

TEST_CASE("words: values that do not fit are refused with what was expected") {
  check_refused({"train", "--epochs", "many"}, 2, {"--epochs: got 'many'", "a whole number"});
  check_refused({"train", "--epochs", "0"}, 2, {"--epochs: got '0'", "at least 1"});
  check_refused({"train", "--epochs", "1.5"}, 2, {"--epochs: got '1.5'"});
  check_refused({"train", "--lr", "nan"}, 2, {"--lr: got 'nan'", "a number"});
  check_refused({"train", "--model"}, 2, {"--model: got no value"});
  check_refused({"train"}, 2, {"got no --model"});
  check_refused({"inspect", "resnet_nano", "more"}, 2, {"got 'more'", "no more arguments"});
  check_refused({"models", "--device", "cuda:63"}, 2, {"--device: got 'cuda:63'"});
  check_refused({"models", "--math", "bf15"}, 2, {"did you mean 'bf16'"});
  check_refused({"models", "--math", "bf16"}, 2, {"expected f32 with --device cpu"});
  check_refused({"models", "--threads", "-1"}, 2, {"--threads: got '-1'", "at least 0"});
}

TEST_CASE("words: help and version go to standard output, no command is wrong") {
  Outcome outcome = kintsugi::test::kintsugi({"--help"});
  CHECK(outcome.code == 0);
  for (const char* name : {"models", "inspect", "infer", "eval", "similarity", "partition",
                           "reassemble", "score", "calibrate", "train", "finetune", "demo", "bench"}) {
    CHECK(outcome.out.find(name) != std::string::npos);
    const Outcome help = kintsugi::test::kintsugi({name, "--help"});
    if (std::string(name) == "bench") continue;  // a program of its own, which may not be built
    CAPTURE(name);
    CHECK(help.code == 0);
    for (const char* common : {"--json", "--threads", "--seed", "--device"}) {
      CHECK(help.out.find(common) != std::string::npos);
    }
  }
  CHECK(kintsugi::test::kintsugi({"--version"}).out.rfind("kintsugi ", 0) == 0);
  outcome = kintsugi::test::kintsugi({});
  CHECK(outcome.code == 2);
  CHECK(outcome.out == "");
}

TEST_CASE("words: files that are not there fail with exit 1 and their name") {
  check_refused({"eval", "--model", "resnet_nano", "--weights", "/nowhere/w.st", "--data", "."}, 1,
                {"/nowhere/w.st"});
  check_refused({"partition", "--similarity", "/nowhere/s.json", "--out", "/tmp/p.json"}, 1,
                {"/nowhere/s.json"});
  check_refused({"train", "--model", "resnet_nano", "--data", "/nowhere/data", "--out", "w.st"}, 1,
                {"/nowhere/data"});
}
