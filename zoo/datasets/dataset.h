// Labelled images, whatever the files. Normalisation and input size belong to the network, so a
// data set yields pixels as they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kintsugi::zoo {

// Pixels are 8 bit, interleaved: row by row, the channels of a pixel side by side (H,W,C). One
// channel is grey, three are red, green, blue.
struct Image {
  int height = 0;
  int width = 0;
  int channels = 0;
  std::span<const uint8_t> pixels;    // height * width * channels bytes
  std::shared_ptr<const void> owner;  // keeps `pixels` alive; empty where the data set does
};

// Every member may be called from several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;  // at least 1
  virtual const std::vector<std::string>& classes() const = 0;
  // 0 <= index < size(). A file that cannot be decoded is a one-line Error that names it.
  virtual Image image(int64_t index) const = 0;
  virtual int64_t label(
      int64_t index) const = 0;  // 0 <= label < classes().size(), checked on opening
  // False where the files know no training and test images: then both splits hold all of them.
  virtual bool has_splits() const { return true; }
  virtual std::string kind() const = 0;  // "IDX", "CIFAR-10", "image folder", ...
};

enum class Split { kTrain, kTest };
const char* name_of(Split split);  // "train", "test"

struct DatasetOptions {
  int64_t max_pixels = 100'000'000;          // of one PNG or JPEG, width times height
  int64_t cache_bytes = int64_t{512} << 20;  // decoded images of a folder kept in memory
};

// Tells the kind by what the folder holds:
//   IDX           {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]  (MNIST, Fashion-MNIST)
//   CIFAR-10      data_batch_*.bin, test_batch.bin    (or a folder cifar-10-batches-bin of them)
//   CIFAR-100     train.bin, test.bin, fine labels    (or a folder cifar-100-binary of them)
//   .npy          {train,test}_{images,labels}.npy, or images.npy and labels.npy for both splits;
//                 images u8 (N,H,W), (N,H,W,C) or (N,C,H,W), labels whole numbers (N)
//   image folder  [{train,test|val}/]<class>/*.{png,jpg,jpeg}, classes sorted by name
// A classes.txt in the folder, one name a line, names the classes of the first four (and says how
// many there are; without it IDX has 10 and .npy as many as its largest label wants).
// Errors: kIo where the folder is missing, kFormat where it holds none of these (the line says what
// was looked for), a file is broken, or a label is out of range (says which and where).
std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& folder, Split split,
                                      const DatasetOptions& options = {});

}  // namespace kintsugi::zoo
