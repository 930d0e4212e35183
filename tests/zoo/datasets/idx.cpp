#include <cstdlib>

#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/datasets/gzip.h"
#include "kintsugi/zoo/datasets/subset.h"
#include "kintsugi/zoo/weights/sha256.h"
#include "tests/zoo/datasets/samples.h"

using namespace kintsugi;
using namespace kintsugi::test;
using zoo::Split;

namespace {

std::vector<int64_t> histogram(const zoo::Dataset& data) {
  std::vector<int64_t> counts(data.classes().size());
  for (int64_t i = 0; i < data.size(); ++i) ++counts[size_t(data.label(i))];
  return counts;
}

std::vector<uint8_t> pixels_of(const zoo::Dataset& data, int64_t index) {
  const auto image = data.image(index);
  return {image.pixels.begin(), image.pixels.end()};
}

}  // namespace

TEST_CASE("idx: plain and gzipped files hold the same images") {
  const Scratch plain, packed;
  for (const char* part : {"train", "t10k"}) {
    const std::string images = idx_images(20, 3, 2), labels = idx_labels(20);
    const std::string name = part;
    put(plain / (name + "-images-idx3-ubyte"), images);
    put(plain / (name + "-labels-idx1-ubyte"), labels);
    put(packed / (name + "-images-idx3-ubyte.gz"), gzipped(images));
    put(packed / (name + "-labels-idx1-ubyte.gz"), gzipped(labels));
  }
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto a = zoo::open_dataset(plain.path(), split);
    const auto b = zoo::open_dataset(packed.path(), split);
    CHECK(a->kind() == "IDX");
    REQUIRE(a->size() == 20);
    REQUIRE(b->size() == 20);
    CHECK(a->classes() ==
          std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
    for (int64_t i = 0; i < 20; ++i) {
      const auto image = a->image(i);
      CHECK((image.height == 3 && image.width == 2 && image.channels == 1));
      CHECK(pixels_of(*a, i) == pixels_of(*b, i));
      CHECK(a->label(i) == i % 10);
    }
    CHECK(pixels_of(*a, 1) == std::vector<uint8_t>{6, 7, 8, 9, 10, 11});
    expect_error(ErrorKind::kUsage, "image 20", [&] { a->image(20); });
    expect_error(ErrorKind::kUsage, "label -1", [&] { a->label(-1); });
  }
}

TEST_CASE("idx: several gzip members are one file") {
  const Scratch scratch;
  const std::string images = idx_images(4, 2, 2);
  put(scratch / "train-images-idx3-ubyte.gz",
      gzipped(images.substr(0, 9)) + gzipped(images.substr(9)));
  put(scratch / "train-labels-idx1-ubyte.gz", gzipped(idx_labels(4)));
  CHECK(pixels_of(*zoo::open_dataset(scratch.path(), Split::kTrain), 3) ==
        std::vector<uint8_t>{12, 13, 14, 15});
}

TEST_CASE("idx: classes.txt names and counts the classes") {
  const Scratch scratch;
  put(scratch / "train-images-idx3-ubyte", idx_images(12, 2, 2));
  put(scratch / "train-labels-idx1-ubyte", idx_labels(12));
  std::string names;
  for (int i = 0; i < 9; ++i) names += "class " + std::to_string(i) + "\r\n";
  put(scratch / "classes.txt", names);
  expect_error(ErrorKind::kFormat, "label 9 at index 9 is out of range, expected 0 to 8",
               [&] { zoo::open_dataset(scratch.path(), Split::kTrain); });
  put(scratch / "classes.txt", names + "ninth\n\n");
  const auto data = zoo::open_dataset(scratch.path(), Split::kTrain);
  CHECK(data->classes().front() == "class 0");
  CHECK(data->classes().back() == "ninth");
  put(scratch / "classes.txt", names + "class 0\n");
  expect_error(ErrorKind::kFormat, "line 10",
               [&] { zoo::open_dataset(scratch.path(), Split::kTrain); });
  expect_error(ErrorKind::kFormat,
               "without t10k-images-idx3-ubyte[.gz], expected for the test split",
               [&] { zoo::open_dataset(scratch.path(), Split::kTest); });
}

TEST_CASE("subset: balanced, seeded, in order, and the same bytes every time") {
  const Scratch from, to;
  put(from / "train-images-idx3-ubyte", idx_images(500, 4, 4));
  put(from / "train-labels-idx1-ubyte", idx_labels(500));
  const auto data = zoo::open_dataset(from.path(), Split::kTrain);
  const auto chosen = zoo::balanced_subset(*data, 100, 3);
  CHECK(std::is_sorted(chosen.begin(), chosen.end()));
  CHECK(std::adjacent_find(chosen.begin(), chosen.end()) == chosen.end());
  CHECK(chosen == zoo::balanced_subset(*data, 100, 3));
  CHECK(chosen != zoo::balanced_subset(*data, 100, 4));
  zoo::write_idx(to.path(), Split::kTrain, *data, chosen);
  const auto part = zoo::open_dataset(to.path(), Split::kTrain);
  CHECK(histogram(*part) == std::vector<int64_t>(10, 10));
  for (size_t i = 0; i < chosen.size(); ++i) {
    CHECK(pixels_of(*part, int64_t(i)) == pixels_of(*data, chosen[i]));
  }
  const auto before = zoo::sha256_of_file(to / "train-images-idx3-ubyte.gz");
  zoo::write_idx(to.path(), Split::kTrain, *data, chosen);
  CHECK(zoo::sha256_of_file(to / "train-images-idx3-ubyte.gz") == before);
  expect_error(ErrorKind::kUsage, "multiple of the 10",
               [&] { zoo::balanced_subset(*data, 99, 0); });
  expect_error(ErrorKind::kUsage, "class '0' has 50 images, expected at least 51",
               [&] { zoo::balanced_subset(*data, 510, 0); });
}

TEST_CASE("shipped Fashion-MNIST: balanced classes with names") {
  const auto folder = std::filesystem::path(KINTSUGI_SOURCE_DIR) / "zoo/shipped/fashion-mnist";
  const auto train = zoo::open_dataset(folder, Split::kTrain);
  const auto test = zoo::open_dataset(folder, Split::kTest);
  CHECK(histogram(*train) == std::vector<int64_t>(10, 800));
  CHECK(histogram(*test) == std::vector<int64_t>(10, 200));
  CHECK(train->classes()[9] == "Ankle boot");
  CHECK(train->image(0).height == 28);
}

TEST_CASE("full Fashion-MNIST: balanced, and the shipped subset is made of it") {
  const char* folder = std::getenv("KINTSUGI_DATA");
  if (folder == nullptr) {
    MESSAGE("skipped: set KINTSUGI_DATA to the full Fashion-MNIST's folder");
    return;
  }
  const auto shipped = std::filesystem::path(KINTSUGI_SOURCE_DIR) / "zoo/shipped/fashion-mnist";
  for (const auto& [split, size, part] :
       {std::tuple(Split::kTrain, 60000, 8000), std::tuple(Split::kTest, 10000, 2000)}) {
    const auto whole = zoo::open_dataset(folder, split);
    REQUIRE(whole->size() == size);
    CHECK(histogram(*whole) == std::vector<int64_t>(10, size / 10));
    const auto chosen = zoo::balanced_subset(*whole, part, 0);
    const auto subset = zoo::open_dataset(shipped, split);
    bool same = subset->size() == part;
    for (int64_t i = 0; same && i < part; ++i) {
      same = subset->label(i) == whole->label(chosen[size_t(i)]) &&
             pixels_of(*subset, i) == pixels_of(*whole, chosen[size_t(i)]);
    }
    CHECK(same);
  }
}
