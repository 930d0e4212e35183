// CIFAR, .npy pairs and image folders through open_dataset.
#include "kintsugi/zoo/weights/npy.h"
#include "tests/zoo/datasets/fixtures.h"
#include "tests/zoo/datasets/samples.h"

using namespace kintsugi;
using namespace kintsugi::test;
using zoo::Split;

namespace {

std::string cifar_record(const std::string& labels, int seed) {
  std::string out = labels;
  for (int c = 0; c < 3; ++c) {
    for (int p = 0; p < 1024; ++p) out += char(seed + 50 * c + p);
  }
  return out;
}

std::vector<uint8_t> pixels_of(const zoo::Dataset& data, int64_t index) {
  const auto image = data.image(index);
  return {image.pixels.begin(), image.pixels.end()};
}

}  // namespace

TEST_CASE("cifar-10: records of planes become interleaved pixels") {
  const Scratch scratch;
  const auto inner = scratch / "cifar-10-batches-bin";
  put(inner / "data_batch_1.bin", cifar_record("\x03", 1) + cifar_record("\x09", 2));
  put(inner / "data_batch_2.bin", cifar_record(std::string(1, '\0'), 3));
  put(inner / "test_batch.bin", cifar_record("\x05", 4));
  put(inner / "batches.meta.txt", std::string("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\n"
                                              "horse\nship\ntruck\n\n"));
  for (const auto& folder : {scratch.path(), inner}) {
    const auto data = zoo::open_dataset(folder, Split::kTrain);
    CHECK(data->kind() == "CIFAR-10");
    REQUIRE(data->size() == 3);
    CHECK((data->label(0) == 3 && data->label(1) == 9 && data->label(2) == 0));
    CHECK(data->classes()[3] == "cat");
    const auto pixels = pixels_of(*data, 2);
    REQUIRE(pixels.size() == 3072);
    for (size_t p = 0; p < 1024; ++p) {
      for (size_t c = 0; c < 3; ++c) REQUIRE(pixels[3 * p + c] == uint8_t(3 + 50 * c + p));
    }
    CHECK(zoo::open_dataset(folder, Split::kTest)->label(0) == 5);
  }
  put(inner / "data_batch_2.bin", cifar_record("\x0a", 3));
  expect_error(ErrorKind::kFormat, "data_batch_2.bin: label 10 at index 0 is out of range",
               [&] { zoo::open_dataset(inner, Split::kTrain); });
  put(inner / "data_batch_2.bin", cifar_record("\x01", 3) + "x");
  expect_error(ErrorKind::kFormat, "got 3074 bytes, expected CIFAR-10 records of 3073",
               [&] { zoo::open_dataset(inner, Split::kTrain); });
  std::filesystem::remove(inner / "test_batch.bin");
  expect_error(ErrorKind::kFormat, "without test_batch.bin, expected for the test split",
               [&] { zoo::open_dataset(inner, Split::kTest); });
}

TEST_CASE("cifar-100: the fine label counts") {
  const Scratch scratch;
  put(scratch / "train.bin", cifar_record("\x13\x63", 1));
  put(scratch / "test.bin", cifar_record("\x13\x62", 1));
  const auto data = zoo::open_dataset(scratch.path(), Split::kTrain);
  CHECK(data->kind() == "CIFAR-100");
  CHECK(data->label(0) == 99);
  CHECK(data->classes().size() == 100);
  put(scratch / "test.bin", cifar_record("\x13\x64", 1));
  expect_error(ErrorKind::kFormat, "label 100 at index 0",
               [&] { zoo::open_dataset(scratch.path(), Split::kTest); });
}

TEST_CASE("npy pairs: every layout gives the same pixels") {
  const Scratch scratch;
  std::vector<uint8_t> values(2 * 4 * 5 * 3);
  for (size_t i = 0; i < values.size(); ++i) values[i] = uint8_t(i);
  const Tensor nhwc = Tensor::from<uint8_t>({2, 4, 5, 3}, values);
  zoo::write_npy(scratch / "labels.npy", Tensor::from<int32_t>({2}, {4, 0}));
  for (const Tensor& stored : {nhwc, nhwc.permute({0, 3, 1, 2})}) {
    zoo::write_npy(scratch / "images.npy", stored);
    const auto data = zoo::open_dataset(scratch.path(), Split::kTest);
    CHECK(data->kind() == ".npy");
    CHECK_FALSE(data->has_splits());
    REQUIRE(data->size() == 2);
    CHECK((data->label(0) == 4 && data->label(1) == 0));
    CHECK(data->classes().size() == 5);
    const auto image = data->image(1);
    CHECK((image.height == 4 && image.width == 5 && image.channels == 3));
    CHECK(pixels_of(*data, 1) == std::vector<uint8_t>(values.begin() + 60, values.end()));
  }
  zoo::write_npy(scratch / "images.npy", nhwc.slice(3, 0, 1).squeeze(3));
  CHECK(zoo::open_dataset(scratch.path(), Split::kTest)->image(0).channels == 1);
}

TEST_CASE("npy pairs: splits and broken files") {
  const Scratch scratch;
  const auto open = [&](Split split = Split::kTrain) {
    return zoo::open_dataset(scratch.path(), split);
  };
  zoo::write_npy(scratch / "train_images.npy", Tensor::zeros({3, 2, 2}, DType::kU8));
  expect_error(ErrorKind::kFormat, "without train_labels.npy", open);
  zoo::write_npy(scratch / "train_labels.npy", Tensor::from<int64_t>({3}, {0, 1, -1}));
  expect_error(ErrorKind::kFormat, "label -1 at index 2 is out of range", open);
  zoo::write_npy(scratch / "train_labels.npy",
                 Tensor::from<int64_t>({3}, {0, 1, int64_t{1} << 62}));
  expect_error(ErrorKind::kFormat, "label 4611686018427387904 at index 2", open);
  zoo::write_npy(scratch / "train_labels.npy", Tensor::from<int64_t>({2}, {0, 1}));
  expect_error(ErrorKind::kFormat, "expected whole numbers of shape (3)", open);
  zoo::write_npy(scratch / "train_labels.npy", Tensor::zeros({3}));
  expect_error(ErrorKind::kFormat, "got f32 of shape (3), expected whole numbers", open);
  zoo::write_npy(scratch / "train_labels.npy", Tensor::from<int64_t>({3}, {0, 1, 1}));
  CHECK(open()->has_splits());
  expect_error(ErrorKind::kFormat, "without test_images.npy", [&] { open(Split::kTest); });
  zoo::write_npy(scratch / "train_images.npy", Tensor::zeros({3, 2, 2}));
  expect_error(ErrorKind::kFormat, "got f32 of shape (3,2,2), expected u8", open);
  zoo::write_npy(scratch / "train_images.npy", Tensor::zeros({3, 2, 2, 2}, DType::kU8));
  expect_error(ErrorKind::kFormat, "with 1 or 3 channels", open);
  zoo::write_npy(scratch / "train_images.npy", Tensor::zeros({0, 2, 2}, DType::kU8));
  expect_error(ErrorKind::kFormat, "at least one image", open);
}

TEST_CASE("nothing to open: the error says what was looked for") {
  const Scratch scratch;
  const auto open = [&] { zoo::open_dataset(scratch.path(), Split::kTrain); };
  for (const char* name : {"IDX", "CIFAR", ".npy", "PNG and JPEG"}) {
    expect_error(ErrorKind::kFormat, name, open);
  }
  expect_error(ErrorKind::kIo, "no such data folder",
               [&] { zoo::open_dataset(scratch / "absent", Split::kTrain); });
  expect_error(ErrorKind::kIo, "got a file, expected a data folder",
               [&] { zoo::open_dataset(put(scratch / "file", std::string("x")), Split::kTrain); });
}

TEST_CASE("image folder: classes by folder, sorted; files decoded when asked for") {
  if (!decoders()) return;
  const Scratch scratch;
  put(scratch / "zebra/1.png", fixtures::kPng);
  put(scratch / "zebra/notes.txt", std::string("no image"));
  put(scratch / "ant/b.JPG", fixtures::kJpegGrey);
  put(scratch / "ant/a.png", fixtures::kPng);
  put(scratch / ".cache/x.png", fixtures::kPng);
  const auto data = zoo::open_dataset(scratch.path(), Split::kTest);
  CHECK(data->kind() == "image folder");
  CHECK_FALSE(data->has_splits());
  CHECK(data->classes() == std::vector<std::string>{"ant", "zebra"});
  REQUIRE(data->size() == 3);
  CHECK((data->label(0) == 0 && data->label(1) == 0 && data->label(2) == 1));
  CHECK(pixels_of(*data, 0) == fixtures::kSmooth16x24);
  CHECK(data->image(1).channels == 1);
  CHECK(data->image(2).channels == 3);
  // Cached: the same memory the second time; without a cache the pixels outlive the call all the
  // same.
  CHECK(data->image(0).pixels.data() == data->image(0).pixels.data());
  const auto uncached = zoo::open_dataset(scratch.path(), Split::kTest, {.cache_bytes = 0});
  const auto kept = uncached->image(0);
  uncached->image(1);
  CHECK(std::equal(kept.pixels.begin(), kept.pixels.end(), fixtures::kSmooth16x24.begin()));
}

TEST_CASE("image folder: splits, with the classes of training") {
  if (!decoders()) return;
  const Scratch scratch;
  for (const char* name : {"train/a/1.png", "train/b/1.png", "val/b/1.png", "val/b/2.png"}) {
    put(scratch / name, fixtures::kPng);
  }
  const auto train = zoo::open_dataset(scratch.path(), Split::kTrain);
  const auto test = zoo::open_dataset(scratch.path(), Split::kTest);
  CHECK(train->has_splits());
  CHECK(train->size() == 2);
  REQUIRE(test->size() == 2);
  CHECK(test->label(0) == 1);
  CHECK(test->classes() == train->classes());
  put(scratch / "val/c/1.png", fixtures::kPng);
  expect_error(ErrorKind::kFormat, "class 'c' is not among those of train/",
               [&] { zoo::open_dataset(scratch.path(), Split::kTest); });
  std::filesystem::remove_all(scratch / "val");
  expect_error(ErrorKind::kFormat, "without test/ or val/",
               [&] { zoo::open_dataset(scratch.path(), Split::kTest); });
  std::filesystem::remove(scratch / "train/a/1.png");
  std::filesystem::remove(scratch / "train/b/1.png");
  expect_error(ErrorKind::kFormat, "holds no <class>/*.png",
               [&] { zoo::open_dataset(scratch.path(), Split::kTrain); });
}

TEST_CASE("image folder: a broken image is named") {
  if (!decoders()) return;
  const Scratch scratch;
  auto broken = fixtures::kJpegColour;
  broken.resize(broken.size() / 2);
  put(scratch / "a/1.png", fixtures::kPng);
  put(scratch / "a/2.jpg", broken);
  put(scratch / "a/3.png", std::string("not an image"));
  const auto data = zoo::open_dataset(scratch.path(), Split::kTrain);
  expect_error(ErrorKind::kFormat, "a/2.jpg: broken JPEG", [&] { data->image(1); });
  expect_error(ErrorKind::kFormat, "a/3.png: neither PNG nor JPEG", [&] { data->image(2); });
  const auto small = zoo::open_dataset(scratch.path(), Split::kTrain, {.max_pixels = 16 * 24 - 1});
  expect_error(ErrorKind::kFormat, "a/1.png", [&] { small->image(0); });
}
