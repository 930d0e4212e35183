#include "kintsugi/zoo/datasets/loader.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <thread>

#include "tests/zoo/datasets/fixtures.h"
#include "tests/zoo/datasets/samples.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

zoo::LoaderOptions busy_options(int prefetch) {
  zoo::LoaderOptions options;
  options.batch_size = 8;
  options.seed = 42;
  options.shuffle = true;
  options.augment = {.crop_padding = 2, .horizontal_flip = true, .erase_probability = 0.5};
  options.prefetch = prefetch;
  return options;
}

std::vector<zoo::Batch> all(zoo::EpochReader reader) {
  std::vector<zoo::Batch> batches;
  while (auto batch = reader.next()) batches.push_back(std::move(*batch));
  CHECK_FALSE(reader.next());
  return batches;
}

void check_same(const std::vector<zoo::Batch>& a, const std::vector<zoo::Batch>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].pixels == b[i].pixels);
    CHECK(a[i].labels == b[i].labels);
    CHECK(a[i].indices == b[i].indices);
    CHECK(a[i].step == b[i].step);
    CHECK(a[i].epoch == b[i].epoch);
  }
}

}  // namespace

TEST_CASE("loader: the same bits with and without a thread, and from any step") {
  const auto data = Samples::counted(45, 7, 6, 3);
  const zoo::Loader plain(data, busy_options(0));
  for (const int64_t epoch : {0, 3}) {
    const auto whole = all(plain.epoch(epoch));
    REQUIRE(whole.size() == 6);
    CHECK(whole.back().count == 5);
    for (const int prefetch : {1, 2, 16}) {
      const zoo::Loader loader(data, busy_options(prefetch));
      check_same(all(loader.epoch(epoch)), whole);
      for (const int64_t first : {1, 5, 6, 9}) {
        const auto from = whole.begin() + std::min<int64_t>(first, 6);
        check_same(all(loader.epoch(epoch, first)), {from, whole.end()});
      }
    }
  }
}

TEST_CASE("loader: an epoch is a permutation, another in every epoch and for every seed") {
  const auto data = Samples::counted(100, 2, 2, 1);
  auto options = busy_options(0);
  const zoo::Loader loader(data, options);
  const auto order = loader.order(0);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int64_t> natural(100);
  std::iota(natural.begin(), natural.end(), 0);
  CHECK(sorted == natural);
  CHECK(order != natural);
  CHECK(order == loader.order(0));
  CHECK(order != loader.order(1));
  options.seed = 43;
  CHECK(order != zoo::Loader(data, options).order(0));
  options.shuffle = false;
  CHECK(zoo::Loader(data, options).order(0) == natural);
}

TEST_CASE("loader: the order is fair") {
  // Where image 0 lands over 2000 epochs: chi squared of 10 cells, 9 degrees, 0.9999 quantile 33.7.
  const auto data = Samples::counted(10, 1, 1, 1);
  const zoo::Loader loader(data, busy_options(0));
  std::vector<int> at(10);
  for (int64_t epoch = 0; epoch < 2000; ++epoch) {
    const auto order = loader.order(epoch);
    ++at[size_t(std::find(order.begin(), order.end(), 0) - order.begin())];
  }
  double chi = 0;
  for (const int count : at) chi += (count - 200.0) * (count - 200.0) / 200;
  CHECK(chi < 33.7);
}

TEST_CASE("loader: without augmentation the pixels are the data set's") {
  const auto data = Samples::counted(5, 3, 4, 3);
  const zoo::Loader loader(data, {.batch_size = 2});
  CHECK(loader.steps() == 3);
  const auto batches = all(loader.epoch(0));
  CHECK(batches[2].count == 1);
  const auto want = data->image(3).pixels;
  CHECK(std::equal(want.begin(), want.end(), batches[1].pixels.begin() + 36));
  CHECK(batches[1].labels == std::vector<int64_t>{2, 3});
  const zoo::Loader full(data, {.batch_size = 2, .drop_last = true});
  CHECK(full.steps() == 2);
  CHECK(full.images() == 4);
  CHECK(all(full.epoch(0)).size() == 2);
}

TEST_CASE("loader: crops shift, flips mirror, nothing else") {
  const auto data = Samples::counted(1, 4, 5, 1);
  const auto image = data->image(0).pixels;
  zoo::LoaderOptions options;
  options.augment = {.crop_padding = 2, .horizontal_flip = true};
  const zoo::Loader loader(data, options);
  std::set<std::tuple<int, int, bool>> seen;
  for (int64_t epoch = 0; epoch < 400; ++epoch) {
    const int64_t index = 0;
    const auto got = loader.batch_of({&index, 1}, epoch).pixels;
    int matches = 0;
    for (int dy = -2; dy <= 2; ++dy) {
      for (int dx = -2; dx <= 2; ++dx) {
        for (const bool flip : {false, true}) {
          std::vector<uint8_t> want(20, 0);
          for (int y = 0; y < 4; ++y) {
            for (int x = 0; x < 5; ++x) {
              const int sy = y + dy, sx = (flip ? 4 - x : x) + dx;
              if (sy < 0 || sy >= 4 || sx < 0 || sx >= 5) continue;
              want[size_t(y * 5 + x)] = image[size_t(sy * 5 + sx)];
            }
          }
          if (want != got) continue;
          ++matches;
          seen.emplace(dy, dx, flip);
        }
      }
    }
    REQUIRE(matches == 1);
  }
  CHECK(seen.size() == 50);
}

TEST_CASE("loader: erasing fills one rectangle of the wanted size") {
  std::vector<std::vector<uint8_t>> black(1, std::vector<uint8_t>(32 * 32, 0));
  const auto data = std::make_shared<Samples>(32, 32, 1, black);
  zoo::LoaderOptions options;
  options.augment.erase_probability = 0.5;
  const zoo::Loader loader(data, options);
  int erased = 0;
  for (int64_t epoch = 0; epoch < 300; ++epoch) {
    const int64_t index = 0;
    const auto pixels = loader.batch_of({&index, 1}, epoch).pixels;
    int top = 32, bottom = -1, left = 32, right = -1, set = 0;
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 32; ++x) {
        if (pixels[size_t(y * 32 + x)] == 0) continue;
        top = std::min(top, y), bottom = std::max(bottom, y), ++set;
        left = std::min(left, x), right = std::max(right, x);
      }
    }
    if (set == 0) continue;
    ++erased;
    const int area = (bottom - top + 1) * (right - left + 1);
    CHECK(set >= area * 0.9);  // random bytes are black once in 256 times
    CHECK(area <= 1024 / 3 + 32);
    CHECK(area >= 10);
  }
  CHECK(erased > 110);
  CHECK(erased < 190);
}

TEST_CASE("loader: channels and sizes are made to fit") {
  const auto grey = Samples::counted(2, 4, 4, 1);
  const zoo::Loader repeated(grey, {.channels = 3});
  const auto batch = *repeated.epoch(0).next();
  CHECK(batch.channels == 3);
  for (size_t p = 0; p < 32; ++p) {
    CHECK(batch.pixels[3 * p] == batch.pixels[3 * p + 1]);
    CHECK(batch.pixels[3 * p] == batch.pixels[3 * p + 2]);
  }
  CHECK(batch.pixels[3] == grey->image(0).pixels[1]);

  using Images = std::vector<std::vector<uint8_t>>;
  const auto colour = std::make_shared<Samples>(9, 7, 3, Images{fixtures::kColour9x7});
  CHECK(zoo::Loader(colour, {.channels = 1}).epoch(0).next()->pixels == fixtures::kLuma9x7);
  CHECK(zoo::Loader(colour, {.height = 4, .width = 3}).epoch(0).next()->pixels ==
        fixtures::kBilinear4x3);
  CHECK(zoo::Loader(colour,
                    {.height = 13, .width = 16, .interpolation = zoo::Interpolation::kBicubic})
            .epoch(0)
            .next()
            ->pixels == fixtures::kBicubic13x16);
  const auto cropped = zoo::Loader(colour, {.height = 4, .width = 4, .crop_fraction = 0.8});
  CHECK(cropped.epoch(0).next()->pixels.size() == 48);
}

TEST_CASE("loader: an error of the thread comes in its turn and stays") {
  for (const int prefetch : {0, 3}) {
    const auto data = Samples::counted(10, 2, 2, 1);
    data->broken = 5;
    const zoo::Loader loader(data, {.batch_size = 2, .prefetch = prefetch});
    auto reader = loader.epoch(0);
    CHECK(reader.next()->indices == std::vector<int64_t>{0, 1});
    CHECK(reader.next());
    for (int i = 0; i < 2; ++i) {
      expect_error(ErrorKind::kFormat, "image 5 is broken", [&] { reader.next(); });
    }
  }
}

TEST_CASE("loader: images of several sizes need a size") {
  class Mixed : public Samples {
   public:
    Mixed() : Samples(2, 2, 1, {{1, 2, 3, 4}, {5, 6}}) {}
    zoo::Image image(int64_t index) const override {
      auto image = Samples::image(index);
      if (index == 1) image.height = 1;
      return image;
    }
  };
  const auto data = std::make_shared<Mixed>();
  expect_error(ErrorKind::kShape, "image 1 is 1 x 2 and the first is 2 x 2",
               [&] { zoo::Loader(data, {}).epoch(0).next(); });
  CHECK(zoo::Loader(data, {.height = 3, .width = 3}).epoch(0).next()->pixels.size() == 18);
}

TEST_CASE("loader: a reader may be dropped with its thread at work") {
  const auto data = Samples::counted(1000, 8, 8, 3);
  const zoo::Loader loader(data, busy_options(3));
  for (int64_t i = 0; i < 50; ++i) {
    auto reader = loader.epoch(i);
    if (i % 2 == 0) reader.next();
    reader = loader.epoch(i + 1);
    auto moved = std::move(reader);
    CHECK(moved.next()->epoch == i + 1);
  }
}

TEST_CASE("loader: options that make no sense") {
  const auto data = Samples::counted(4, 2, 2, 1);
  const auto refuse = [&](const zoo::LoaderOptions& options, const std::string& phrase) {
    expect_error(ErrorKind::kUsage, phrase, [&] { zoo::Loader(data, options); });
  };
  refuse({.batch_size = 0}, "batch size 0");
  refuse({.channels = 2}, "channels 2, expected 1 or 3");
  refuse({.height = 8}, "both or neither");
  refuse({.crop_fraction = 0.9}, "crop fraction 0.9");
  refuse({.prefetch = -1}, "prefetch -1");
  refuse({.augment = {.crop_padding = -1}}, "crop padding -1");
  refuse({.augment = {.erase_probability = 2}}, "erase probability 2");
  expect_error(ErrorKind::kUsage, "epoch -1", [&] { zoo::Loader(data, {}).epoch(-1); });
}

TEST_CASE("normalise: channels last, each channel by its own mean and deviation") {
  const auto data = Samples::counted(2, 3, 2, 3);
  const auto batch = *zoo::Loader(data, {}).epoch(0).next();
  const std::vector<double> mean{0.1, 0.2, 0.3}, deviation{0.5, 0.25, 2};
  const Tensor x = zoo::normalise(batch, mean, deviation);
  CHECK(x.shape() == Shape{2, 3, 3, 2});
  CHECK(x.is_channels_last());
  const auto values = x.to_vector<float>();  // row major: N,C,H,W
  size_t i = 0;
  for (size_t n = 0; n < 2; ++n) {
    for (size_t c = 0; c < 3; ++c) {
      for (size_t p = 0; p < 6; ++p, ++i) {
        const double pixel = batch.pixels[n * 18 + p * 3 + c];
        CHECK(values[i] == float((pixel / 255 - mean[c]) / deviation[c]));
      }
    }
  }
  const std::vector<double> one{0.5};
  CHECK(zoo::normalise(batch, one, one).numel() == 36);
  expect_error(ErrorKind::kShape, "2 values of mean",
               [&] { zoo::normalise(batch, std::span(mean).first(2), deviation); });
  const std::vector<double> zero{0};
  expect_error(ErrorKind::kNumeric, "got std 0", [&] { zoo::normalise(batch, mean, zero); });
  CHECK(zoo::labels_of(batch).to_vector<int64_t>() == batch.labels);
}
