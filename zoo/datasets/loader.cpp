#include "kintsugi/zoo/datasets/loader.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/shuffle.h"

namespace kintsugi::zoo {

namespace {

std::vector<uint8_t> to_luma(const Image& image) {
  std::vector<uint8_t> grey(size_t(image.height) * image.width);
  const uint8_t* src = image.pixels.data();
  for (uint8_t& value : grey) {
    // 0.299, 0.587 and 0.114 in 16 bits of fraction, rounded.
    value = uint8_t((src[0] * 19595u + src[1] * 38470u + src[2] * 7471u + 0x8000u) >> 16);
    src += 3;
  }
  return grey;
}

// An image of the wanted size, with the wanted channels or one that the batch will repeat.
struct Prepared {
  Image image;
  std::vector<uint8_t> owned;
};

Prepared prepare(const Dataset& dataset, int64_t index, const LoaderOptions& options,
                 bool may_resize) {
  Prepared out{dataset.image(index), {}};
  Image& image = out.image;
  if (image.channels == 3 && options.channels == 1) {
    out.owned = to_luma(image);
    image.pixels = out.owned;
    image.channels = 1;
  }
  const bool fits = image.height == options.height && image.width == options.width;
  if (!fits && !may_resize) {
    fail(ErrorKind::kShape, "loader: image ", index, " is ", image.height, " x ", image.width,
         " and the first is ", options.height, " x ", options.width,
         "; images of several sizes need the height and width to resize to");
  }
  if (may_resize && (!fits || (options.crop_fraction > 0 && options.crop_fraction < 1))) {
    const auto plan = plan_resize(image.height, image.width, options.height, options.width,
                                  options.crop_fraction);
    out.owned = resize_image(image.pixels, image.height, image.width, image.channels, plan,
                             options.interpolation);
    image = {options.height, options.width, image.channels, out.owned, nullptr};
  }
  return out;
}

// dst (H,W,channels), shifted by (dy,dx), black where the shift leaves nothing.
void place(const Image& image, uint8_t* dst, int channels, int dy, int dx, bool flip) {
  const int height = image.height, width = image.width;
  const bool repeat = image.channels != channels;
  if (dy == 0 && dx == 0 && !flip && !repeat) {
    std::memcpy(dst, image.pixels.data(), image.pixels.size());
    return;
  }
  const size_t row = size_t(width) * channels;
  std::memset(dst, 0, size_t(height) * row);
  for (int y = std::max(0, -dy); y < std::min(height, height - dy); ++y) {
    const uint8_t* from = image.pixels.data() + size_t(y + dy) * width * image.channels;
    for (int x = std::max(0, -dx); x < std::min(width, width - dx); ++x) {
      const uint8_t* src = from + size_t(x + dx) * image.channels;
      uint8_t* to = dst + size_t(y) * row + size_t(flip ? width - 1 - x : x) * channels;
      for (int c = 0; c < channels; ++c) to[c] = src[repeat ? 0 : c];
    }
  }
}

void erase(uint8_t* dst, int64_t index, int64_t epoch, const LoaderOptions& options) {
  const Augment& augment = options.augment;
  const int height = options.height, width = options.width, channels = options.channels;
  const auto draw_part = [&](DrawStream stream, uint32_t part) {
    return draw(options.seed, stream, uint64_t(index), uint64_t(epoch), part);
  };
  for (uint32_t attempt = 0; attempt < 10; ++attempt) {
    const auto bits = draw_part(kAugmentStream, 1 + attempt);
    const double area = double(height) * width *
                        (augment.erase_area_min +
                         (augment.erase_area_max - augment.erase_area_min) * unit_float(bits[0]));
    // The logarithm of the aspect is uniform: 0.3 to 1/0.3.
    const double aspect = std::pow(0.3, 1 - 2 * double(unit_float(bits[1])));
    const int h = int(std::lround(std::sqrt(area * aspect)));
    const int w = int(std::lround(std::sqrt(area / aspect)));
    if (h < 1 || w < 1 || h >= height || w >= width) continue;
    const int top = int(below(uint64_t(height - h + 1), bits[2], 0));
    const int left = int(below(uint64_t(width - w + 1), bits[3], 0));
    std::array<uint32_t, 4> block{};
    uint32_t taken = 0;
    for (int y = top; y < top + h; ++y) {
      uint8_t* to = dst + (size_t(y) * width + left) * channels;
      for (int i = 0; i < w * channels; ++i, ++taken) {
        if (taken % 16 == 0) block = draw_part(kEraseStream, taken / 16);
        to[i] = uint8_t(block[taken / 4 % 4] >> (taken % 4 * 8));
      }
    }
    return;
  }
}

}  // namespace

struct EpochReader::State {
  State(const Loader& from, int64_t which, int64_t first)
      : loader(from), order(from.order(which)), epoch(which), step(first) {
    if (loader.options().prefetch > 0 && step < loader.steps()) {
      worker = std::jthread([this](std::stop_token stop) { produce(stop); });
    }
  }

  Batch make(int64_t at) const {
    const int64_t size = loader.options().batch_size;
    const int64_t count = std::min(size, int64_t(order.size()) - at * size);
    Batch batch =
        loader.batch_of(std::span(order).subspan(size_t(at * size), size_t(count)), epoch);
    batch.step = at;
    return batch;
  }

  void produce(std::stop_token stop) {
    for (int64_t at = step; at < loader.steps(); ++at) {
      Batch batch;
      std::exception_ptr error;
      try {
        batch = make(at);
      } catch (...) {
        error = std::current_exception();
      }
      std::unique_lock lock(mutex);
      const auto room = [&] { return ready.size() < size_t(loader.options().prefetch); };
      if (!taken.wait(lock, stop, room)) return;
      if (error) {
        failure = error;
      } else {
        ready.push_back(std::move(batch));
      }
      made.notify_one();
      if (error) return;
    }
  }

  std::optional<Batch> next() {
    if (step >= loader.steps()) return std::nullopt;
    if (loader.options().prefetch <= 0) {
      Batch batch = make(step);
      ++step;
      return batch;
    }
    std::unique_lock lock(mutex);
    made.wait(lock, [&] { return !ready.empty() || failure; });
    if (ready.empty()) std::rethrow_exception(failure);
    Batch batch = std::move(ready.front());
    ready.pop_front();
    step = batch.step + 1;
    taken.notify_one();
    return batch;
  }

  const Loader loader;
  const std::vector<int64_t> order;
  const int64_t epoch;
  int64_t step;  // the next to hand out; the worker reads it only as it starts
  std::mutex mutex;
  std::condition_variable made;
  std::condition_variable_any taken;
  std::deque<Batch> ready;
  std::exception_ptr failure;
  std::jthread worker;  // last: it stops before what it uses goes
};

EpochReader::EpochReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
EpochReader::~EpochReader() = default;
EpochReader::EpochReader(EpochReader&&) noexcept = default;
EpochReader& EpochReader::operator=(EpochReader&&) noexcept = default;
std::optional<Batch> EpochReader::next() {
  return state_->next();
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options)
    : dataset_(std::move(dataset)), options_(options) {
  const auto require = [](bool holds, const char* what, auto got, const char* expected) {
    if (!holds) fail(ErrorKind::kUsage, "loader: got ", what, " ", got, ", expected ", expected);
  };
  if (!dataset_) fail(ErrorKind::kUsage, "loader: got no data set");
  const Augment& augment = options_.augment;
  require(options_.batch_size > 0, "batch size", options_.batch_size, "at least 1");
  require(options_.prefetch >= 0, "prefetch", options_.prefetch, "at least 0");
  require(options_.crop_fraction >= 0 && options_.crop_fraction <= 1, "crop fraction",
          options_.crop_fraction, "0 to 1");
  require(options_.channels == 0 || options_.channels == 1 || options_.channels == 3, "channels",
          options_.channels, "1 or 3");
  require(options_.height >= 0 && options_.height <= 65535, "height", options_.height,
          "1 to 65535");
  require(options_.width >= 0 && options_.width <= 65535, "width", options_.width, "1 to 65535");
  require((options_.height == 0) == (options_.width == 0), "height without width or width",
          std::max(options_.height, options_.width), "both or neither");
  require(options_.crop_fraction == 0 || options_.height > 0, "crop fraction",
          options_.crop_fraction, "a height and a width with it");
  require(augment.crop_padding >= 0, "crop padding", augment.crop_padding, "at least 0");
  require(augment.erase_probability >= 0 && augment.erase_probability <= 1, "erase probability",
          augment.erase_probability, "0 to 1");
  require(augment.erase_area_min > 0 && augment.erase_area_min <= augment.erase_area_max &&
              augment.erase_area_max <= 1,
          "erase area", augment.erase_area_min, "0 < least <= most <= 1");
  resize_ = options_.height > 0;
  if (options_.channels > 0 && resize_) return;
  const Image first = dataset_->image(0);
  if (options_.channels == 0) options_.channels = first.channels;
  if (!resize_) options_.height = first.height, options_.width = first.width;
}

int64_t Loader::steps() const {
  const int64_t size = dataset_->size(), batch = options_.batch_size;
  return options_.drop_last ? size / batch : (size - 1) / batch + 1;
}

int64_t Loader::images() const {
  return options_.drop_last ? steps() * options_.batch_size : dataset_->size();
}

EpochReader Loader::epoch(int64_t epoch, int64_t first_step) const {
  if (epoch < 0 || first_step < 0) {
    fail(ErrorKind::kUsage, "loader: got epoch ", epoch, " from step ", first_step,
         ", expected neither under 0");
  }
  return EpochReader(std::make_unique<EpochReader::State>(*this, epoch, first_step));
}

std::vector<int64_t> Loader::order(int64_t epoch) const {
  if (options_.shuffle) {
    return shuffled(dataset_->size(), options_.seed, kOrderStream, uint64_t(epoch));
  }
  std::vector<int64_t> order(static_cast<size_t>(dataset_->size()));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

Batch Loader::batch_of(std::span<const int64_t> indices, int64_t epoch) const {
  Batch batch;
  batch.count = int64_t(indices.size());
  batch.height = options_.height;
  batch.width = options_.width;
  batch.channels = options_.channels;
  batch.epoch = epoch;
  batch.indices.assign(indices.begin(), indices.end());
  const size_t bytes = size_t(batch.height) * batch.width * batch.channels;
  batch.pixels.resize(indices.size() * bytes);
  const Augment& augment = options_.augment;
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t index = indices[i];
    const Prepared prepared = prepare(*dataset_, index, options_, resize_);
    const auto bits = draw(options_.seed, kAugmentStream, uint64_t(index), uint64_t(epoch));
    const auto shift = [&](uint32_t word) {
      const int reach = augment.crop_padding;
      return int(below(uint64_t(2 * reach + 1), word, 0)) - reach;
    };
    const bool flip = augment.horizontal_flip && (bits[2] >> 31) != 0;
    uint8_t* dst = batch.pixels.data() + i * bytes;
    place(prepared.image, dst, batch.channels, shift(bits[0]), shift(bits[1]), flip);
    if (unit_float(bits[3]) < augment.erase_probability) erase(dst, index, epoch, options_);
    batch.labels.push_back(dataset_->label(index));
  }
  return batch;
}

Tensor normalise(const Batch& batch, std::span<const double> mean, std::span<const double> std) {
  const size_t channels = size_t(batch.channels);
  for (const auto& [name, values] : {std::pair{"mean", mean}, std::pair{"std", std}}) {
    if (values.size() == 1 || values.size() == channels) continue;
    fail(ErrorKind::kShape, "normalise: got ", values.size(), " values of ", name, " for ",
         channels, " channels");
  }
  std::vector<float> table(channels * 256);  // value of pixel p in channel c at c * 256 + p
  for (size_t c = 0; c < channels; ++c) {
    const double m = mean[mean.size() == 1 ? 0 : c], s = std[std.size() == 1 ? 0 : c];
    if (!(s > 0)) fail(ErrorKind::kNumeric, "normalise: got std ", s, ", expected more than 0");
    for (size_t p = 0; p < 256; ++p) table[c * 256 + p] = float((double(p) / 255 - m) / s);
  }
  Tensor out = Tensor::empty({batch.count, batch.channels, batch.height, batch.width}, DType::kF32,
                             kCpu, MemoryFormat::kChannelsLast);
  float* dst = out.data<float>();
  const uint8_t* src = batch.pixels.data();
  for (size_t i = 0; i < batch.pixels.size(); i += channels) {
    for (size_t c = 0; c < channels; ++c) dst[i + c] = table[c * 256 + src[i + c]];
  }
  return out.to(Context::current().device);
}

Tensor labels_of(const Batch& batch) {
  return Tensor::from<int64_t>({batch.count}, batch.labels).to(Context::current().device);
}

}  // namespace kintsugi::zoo
