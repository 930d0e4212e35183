// Runs the built binary, in folders of its own with a tiny data set and zoo.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "kintsugi/zoo/datasets/subset.h"
#include "kintsugi/zoo/files/zoo_file.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::test {

namespace fs = std::filesystem;

inline std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// A new folder that goes with this object.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (fs::temp_directory_path() / "kintsugi-apps-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

struct Outcome {
  int code = -1;  // 128 + signal where one ended it
  std::string out, err;
  size_t error_lines() const { return size_t(std::count(err.begin(), err.end(), '\n')); }
  nlohmann::json json() const { return nlohmann::json::parse(out); }
};

// One run of `kintsugi`; finish() waits for its end.
class Running {
 public:
  explicit Running(const std::vector<std::string>& words) {
    std::vector<std::string> all{std::string(KINTSUGI_BINARY_DIR) + "/kintsugi"};
    all.insert(all.end(), words.begin(), words.end());
    std::vector<char*> argv;
    for (std::string& word : all) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string out = (scratch_ / "out").string(), err = (scratch_ / "err").string();
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      const int flags = O_WRONLY | O_CREAT | O_TRUNC;
      dup2(open(out.c_str(), flags, 0600), 1);
      dup2(open(err.c_str(), flags, 0600), 2);
      execv(argv[0], argv.data());
      _exit(127);
    }
  }
  void send(int signal) { kill(pid_, signal); }
  bool ended() {
    if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
    return ended_;
  }
  Outcome finish() {
    if (!ended_) waitpid(pid_, &status_, 0);
    ended_ = true;
    const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    return {code, text_of(scratch_ / "out"), text_of(scratch_ / "err")};
  }

 private:
  Scratch scratch_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

inline Outcome kintsugi(const std::vector<std::string>& words) {
  return Running(words).finish();
}

// Grey 28x28 images of ten classes: a bright row at the class's height, and some dirt.
class Bars : public zoo::Dataset {
 public:
  explicit Bars(int64_t size) : size_(size) {
    for (int i = 0; i < 10; ++i) names_.push_back(std::to_string(i));
  }
  int64_t size() const override { return size_; }
  const std::vector<std::string>& classes() const override { return names_; }
  int64_t label(int64_t index) const override { return index % 10; }
  std::string kind() const override { return "bars"; }
  zoo::Image image(int64_t index) const override {
    auto pixels = std::make_shared<std::vector<uint8_t>>(28 * 28);
    for (size_t i = 0; i < pixels->size(); ++i) {
      const bool bar = int64_t(i) / 28 / 2 == label(index) + 2;
      (*pixels)[i] = uint8_t((bar ? 200 : 0) + (i * 31 + size_t(index) * 17) % 50);
    }
    return {28, 28, 1, *pixels, pixels};
  }

 private:
  int64_t size_;
  std::vector<std::string> names_;
};

inline std::vector<int64_t> all_of(int64_t count) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) indices.push_back(i);
  return indices;
}

// 60 training and 40 test images.
inline fs::path tiny_data(const Scratch& scratch) {
  const fs::path folder = scratch / "data";
  zoo::write_idx(folder, zoo::Split::kTrain, Bars(60), all_of(60));
  zoo::write_idx(folder, zoo::Split::kTest, Bars(40), all_of(40));
  return folder;
}

// Two networks with initial weights and a ZOO.json.
inline fs::path tiny_zoo(const Scratch& scratch) {
  zoo::ZooFile zoo;
  for (const char* name : {"resnet_nano", "mobilenetv3_nano"}) {
    const zoo::LoadedNetwork fresh = zoo::fresh_network(name, {}, 3);
    const fs::path weights = scratch / (std::string(name) + ".safetensors");
    zoo::save_network(weights, *fresh.network, fresh.card);
    zoo.models.push_back({name, weights, 10, {}, {}, "Apache-2.0"});
  }
  zoo::write_zoo(scratch / "zoo.json", zoo);
  return scratch / "zoo.json";
}

}  // namespace kintsugi::test
