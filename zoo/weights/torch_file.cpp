// What torch.save writes: a pickle whose tensors name storages, and the storages' bytes. The zip
// format (since 1.6) keeps each storage as a member; the legacy format is five pickles and then the
// storages one behind the other
// (https://github.com/pytorch/pytorch/blob/main/torch/serialization.py, torch/_utils.py).
#include <algorithm>
#include <array>
#include <optional>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/printable.h"
#include "kintsugi/zoo/weights/pickle.h"
#include "kintsugi/zoo/weights/readers.h"
#include "kintsugi/zoo/weights/stored.h"
#include "kintsugi/zoo/weights/zip.h"

namespace kintsugi::zoo {

namespace {

using Kind = PickleValue::Kind;

struct Named {
  std::string_view name;
  StoredDType dtype;
};
constexpr std::array<Named, 10> kStorages = {{{"FloatStorage", StoredDType::kF32},
                                              {"DoubleStorage", StoredDType::kF64},
                                              {"HalfStorage", StoredDType::kF16},
                                              {"BFloat16Storage", StoredDType::kBF16},
                                              {"LongStorage", StoredDType::kI64},
                                              {"IntStorage", StoredDType::kI32},
                                              {"ShortStorage", StoredDType::kI16},
                                              {"CharStorage", StoredDType::kI8},
                                              {"ByteStorage", StoredDType::kU8},
                                              {"BoolStorage", StoredDType::kBool}}};
// Written as torch.float32; the tensors of an untyped storage carry it.
constexpr std::array<Named, 17> kDTypes = {{{"float32", StoredDType::kF32},
                                            {"float64", StoredDType::kF64},
                                            {"float16", StoredDType::kF16},
                                            {"bfloat16", StoredDType::kBF16},
                                            {"int64", StoredDType::kI64},
                                            {"int32", StoredDType::kI32},
                                            {"int16", StoredDType::kI16},
                                            {"int8", StoredDType::kI8},
                                            {"uint64", StoredDType::kU64},
                                            {"uint32", StoredDType::kU32},
                                            {"uint16", StoredDType::kU16},
                                            {"uint8", StoredDType::kU8},
                                            {"bool", StoredDType::kBool},
                                            {"float8_e4m3fn", StoredDType::kF8E4M3},
                                            {"float8_e5m2", StoredDType::kF8E5M2},
                                            {"float8_e4m3fnuz", StoredDType::kF8E4M3Fnuz},
                                            {"float8_e5m2fnuz", StoredDType::kF8E5M2Fnuz}}};

// The dtype under "torch.<name>" (or "torch.cuda.<name>").
template <size_t N>
std::optional<StoredDType> named_dtype(const std::array<Named, N>& table, std::string_view global) {
  if (!global.starts_with("torch.")) return std::nullopt;
  global.remove_prefix(6);
  if (global.starts_with("cuda.")) global.remove_prefix(5);
  for (const Named& row : table) {
    if (row.name == global) return row.dtype;
  }
  return std::nullopt;
}

constexpr std::string_view kUntyped = "torch.storage.UntypedStorage";

// What checkpoints of weights hold beside the tensors' own makers. None of it is ever run or read.
constexpr std::string_view kInert[] = {"torch.Size",
                                       "torch.device",
                                       "torch.Tensor",
                                       "torch.nn.parameter.Parameter",
                                       "torch.serialization._get_layout",
                                       "argparse.Namespace",
                                       "builtins.set",
                                       "builtins.frozenset",
                                       "builtins.list",
                                       "builtins.tuple",
                                       "builtins.int",
                                       "builtins.float",
                                       "builtins.bool",
                                       "builtins.str",
                                       "builtins.bytes",
                                       "builtins.bytearray",
                                       "builtins.complex",
                                       "builtins.slice",
                                       "builtins.object",
                                       "__builtin__.set",
                                       "__builtin__.frozenset",
                                       "__builtin__.list",
                                       "__builtin__.tuple",
                                       "__builtin__.int",
                                       "__builtin__.long",
                                       "__builtin__.float",
                                       "__builtin__.bool",
                                       "__builtin__.str",
                                       "__builtin__.unicode",
                                       "__builtin__.object",
                                       "copy_reg._reconstructor",
                                       "copyreg._reconstructor",
                                       "_codecs.encode",
                                       "numpy.dtype",
                                       "numpy.ndarray",
                                       "numpy.core.multiarray.scalar",
                                       "numpy._core.multiarray.scalar",
                                       "numpy.core.multiarray._reconstruct",
                                       "numpy._core.multiarray._reconstruct",
                                       "pathlib.Path",
                                       "pathlib.PosixPath",
                                       "pathlib.PurePosixPath",
                                       "datetime.datetime",
                                       "datetime.timedelta"};
constexpr std::string_view kDicts[] = {"collections.OrderedDict", "collections.defaultdict",
                                       "collections.Counter", "builtins.dict", "__builtin__.dict"};
constexpr std::string_view kMakers[] = {"torch._utils._rebuild_tensor",
                                        "torch._utils._rebuild_tensor_v2",
                                        "torch._utils._rebuild_tensor_v3",
                                        "torch._utils._rebuild_parameter",
                                        "torch._utils._rebuild_parameter_with_state",
                                        "torch._tensor._rebuild_from_type_v2"};

template <size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(names, names + N, name) != names + N;
}

Pickle::Verdict judge(std::string_view global) {
  if (among(kDicts, global)) return Pickle::Verdict::kMakesDict;
  if (among(kInert, global) || among(kMakers, global) || global == kUntyped ||
      named_dtype(kStorages, global) || named_dtype(kDTypes, global)) {
    return Pickle::Verdict::kAllowed;
  }
  return Pickle::Verdict::kRefused;
}

// The bytes of storages, and those that were made into (one-dimensional) tensors already: tensors
// that share a storage share it here too.
struct Storages {
  std::string name;  // of the file
  std::map<std::string, std::span<const std::byte>, std::less<>> bytes = {};
  std::map<std::string, StoredDType, std::less<>> dtypes = {};  // as the pickle says
  std::map<std::pair<std::string, StoredDType>, Tensor> made = {};
  std::shared_ptr<const void> owner = {};
  const MappedFile* mapping = nullptr;
  bool widen_halves = true;
  uint64_t repeated = 0;  // bytes of tensors that are larger than their storage

  Tensor make(const std::string& key, StoredDType dtype) {
    Tensor& tensor = made[{key, dtype}];
    if (!tensor.defined()) {
      const auto stored = bytes.at(key);
      const auto count = int64_t(stored.size() / size_of(dtype));
      tensor = to_tensor(name + ": storage '" + printable(key) + "'", {dtype, {count}, stored},
                         widen_halves);
      mapping->release(stored);
    }
    return tensor;
  }
};

// Finds the tensors in the pickle's value.
class Collector {
 public:
  Collector(std::shared_ptr<Storages> storages, Source& out)
      : storages_(std::move(storages)), out_(out) {}

  // The dtypes of all storages, an optimizer's too; their bytes are not needed yet.
  void find_storages(const Pickle& pickle) {
    for (const PickleValue& value : pickle.values()) {
      if (value.is(Kind::kPersistent)) place_of(value);
    }
  }
  // Checks every tensor against its storage.
  void collect(const PickleValue& root) {
    if (!root.is(Kind::kDict)) {
      fail(ErrorKind::kFormat, storages_->name, ": holds no dictionary of tensors, expected a ",
           "state_dict");
    }
    walk(root, [&](const std::string& name, const PickleValue& value) { add(name, value); });
  }

 private:
  // Calls use(name, call) for every tensor under string keys of nested dictionaries: what lies in
  // lists or under numbers is an optimizer's.
  template <class Use>
  void walk(const PickleValue& root, const Use& use) {
    struct Level {
      const PickleValue* dict;
      size_t next;
      size_t prefix;  // length of the name so far
    };
    constexpr size_t kMostDepth = 8, kMostVisits = 400'000;
    std::vector<Level> levels{{&root, 0, 0}};
    std::string name;
    for (size_t visits = 0; !levels.empty(); ++visits) {
      if (visits == kMostVisits) broken("more than ", kMostVisits, " entries");
      Level& level = levels.back();
      if (level.next + 1 >= level.dict->items.size()) {
        levels.pop_back();
        continue;
      }
      const PickleValue& key = *level.dict->items[level.next];
      const PickleValue& value = *level.dict->items[level.next + 1];
      level.next += 2;
      if (!key.is(Kind::kText)) continue;
      name.resize(level.prefix);
      if (name.size() + key.text.size() > 4096) broken("a name of more than 4096 bytes");
      name += key.text;
      if (value.is(Kind::kDict) && levels.size() < kMostDepth) {
        name += '.';
        levels.push_back({&value, 0, name.size()});
      } else if (value.is(Kind::kCall) && among(kMakers, value.text)) {
        use(name, value);
      }
    }
  }

  struct Call {
    std::string_view maker;
    std::span<const PickleValue* const> arguments;
  };
  // A parameter or a subclass around the tensor itself is peeled off.
  Call peel(const PickleValue& value) const {
    const PickleValue* call = &value;
    for (int depth = 0; depth < 8; ++depth) {
      if (!call->is(Kind::kCall)) break;
      const auto& items = call->items;
      if (call->text.starts_with("torch._utils._rebuild_parameter")) {
        if (items.empty()) break;
        call = items[0];
      } else if (call->text == "torch._tensor._rebuild_from_type_v2") {
        if (items.size() < 3 || !items[0]->is(Kind::kGlobal) || !items[2]->is(Kind::kTuple)) break;
        return {items[0]->text, items[2]->items};
      } else {
        return {call->text, items};
      }
    }
    broken("a parameter without a tensor");
  }

  struct Place {
    std::string key;
    StoredDType dtype;
    bool untyped;
    int64_t count;   // of elements, as the pickle claims
    int64_t offset;  // of a view of a storage (legacy), in elements
  };
  // ('storage', type, key, device, elements[, None or (key, offset, elements)])
  Place place_of(const PickleValue& holder) {
    if (!holder.is(Kind::kPersistent) || !holder.items[0]->is(Kind::kTuple)) {
      broken("a tensor without a storage");
    }
    const auto& words = holder.items[0]->items;
    if (words.size() < 5 || words.size() > 6 || words[0]->text != "storage" ||
        !words[1]->is(Kind::kGlobal) || !words[4]->is(Kind::kInteger)) {
      broken("a storage that is none");
    }
    Place place{};
    place.key = words[2]->is(Kind::kInteger) ? std::to_string(words[2]->integer)
                                             : std::string(words[2]->text);
    place.untyped = words[1]->text == kUntyped;
    const auto dtype = named_dtype(kStorages, words[1]->text);
    if (!dtype && !place.untyped) {
      broken("a storage of the unknown type '", printable(words[1]->text), "'");
    }
    place.dtype = dtype.value_or(StoredDType::kU8);
    place.count = words[4]->integer;
    if (words.size() == 6 && words[5]->is(Kind::kTuple) && words[5]->items.size() == 3) {
      if (!words[5]->items[1]->is(Kind::kInteger)) broken("a view of a storage without an offset");
      place.offset = words[5]->items[1]->integer;
    }
    const auto [known, fresh] = storages_->dtypes.emplace(place.key, place.dtype);
    if (!fresh && known->second != place.dtype) {
      broken("storage '", printable(place.key), "' has two types");
    }
    return place;
  }

  Dims dims_of(const std::string& shown, const PickleValue& value) const {
    if (!value.is(Kind::kTuple) && value.text != "torch.Size") broken(shown, " without a shape");
    const PickleValue& tuple =
        value.is(Kind::kCall) && value.items.size() == 1 ? *value.items[0] : value;
    if (tuple.items.size() > size_t(kMaxRank)) {
      fail(ErrorKind::kFormat, storages_->name, ": ", shown, ": got ", tuple.items.size(),
           " dimensions, expected at most ", kMaxRank);
    }
    Dims dims;
    for (const PickleValue* item : tuple.items) {
      if (!item->is(Kind::kInteger) || item->integer < 0) {
        broken(shown, ": expected a shape of whole numbers");
      }
      dims.push_back(item->integer);
    }
    return dims;
  }

  void add(const std::string& name, const PickleValue& value) {
    const std::string shown = "'" + printable(name) + "'";
    const Call call = peel(value);
    if (!call.maker.starts_with("torch._utils._rebuild_tensor") || call.arguments.size() < 4) {
      broken(shown, " without a storage");
    }
    const Place place = place_of(*call.arguments[0]);
    if (!call.arguments[1]->is(Kind::kInteger)) broken(shown, " without an offset");
    StoredDType dtype = place.dtype;
    if (call.maker == "torch._utils._rebuild_tensor_v3") {
      if (call.arguments.size() < 7) broken(shown, " without a dtype");
      const auto named = named_dtype(kDTypes, call.arguments[6]->text);
      if (!named) broken(shown, " without a dtype");
      dtype = *named;
    } else if (place.untyped) {
      broken(shown, " without a dtype");
    }
    const auto stored = storages_->bytes.find(place.key);
    if (stored == storages_->bytes.end()) {
      broken("storage '", printable(place.key), "' of ", shown, " is missing");
    }
    uint64_t claimed = 0;
    if (place.count < 0 ||
        __builtin_mul_overflow(uint64_t(place.count), size_of(place.dtype), &claimed) ||
        claimed > stored->second.size()) {
      broken("storage '", printable(place.key), "' holds ", stored->second.size(), " bytes, ",
             shown, " wants ", place.count, " elements of it");
    }
    const Shape shape = dims_of(shown, *call.arguments[2]);
    const Strides strides = dims_of(shown, *call.arguments[3]);
    const int64_t offset = check_view(shown, shape, strides, call.arguments[1]->integer,
                                      place.offset, stored->second.size() / size_of(dtype), dtype);
    const auto make = [storages = storages_, key = place.key, dtype, shape, strides, offset] {
      return storages->make(key, dtype).strided(shape, strides, offset);
    };
    if (!out_.tensors.emplace(name, make).second) {
      fail(ErrorKind::kFormat, storages_->name, ": the name ", shown, " stands twice");
    }
  }

  // The offset of the first element, after a check that the last one lies in the storage.
  int64_t check_view(const std::string& shown, const Shape& shape, const Strides& strides,
                     int64_t offset, int64_t base, uint64_t count, StoredDType dtype) {
    if (shape.rank() != strides.rank()) broken(shown, ": a shape and strides of different lengths");
    int64_t numel = 1, last = 0;
    bool fits = offset >= 0 && base >= 0 && !__builtin_add_overflow(offset, base, &offset);
    for (int i = 0; fits && i < shape.rank(); ++i) {
      int64_t reach = 0;
      fits = !__builtin_mul_overflow(numel, shape[i], &numel) &&
             !__builtin_mul_overflow(std::max<int64_t>(shape[i] - 1, 0), strides[i], &reach) &&
             !__builtin_add_overflow(last, reach, &last);
    }
    int64_t end = 0;
    fits = fits && !__builtin_add_overflow(offset, last, &end) && end < INT64_MAX;
    if (!fits || uint64_t(offset) > count || (numel > 0 && uint64_t(end) + 1 > count)) {
      broken(shown, ": shape ", shape, " with strides ", strides, " at ", offset,
             " leaves its storage of ", count, " elements");
    }
    // Strides of zero make much of little; what reads a tensor may copy it.
    if (numel > 0 && uint64_t(numel) > count) {
      uint64_t size = 0;
      constexpr uint64_t kMost = 64 << 20;
      if (__builtin_mul_overflow(uint64_t(numel), size_of(dtype), &size) || size > kMost ||
          (storages_->repeated += size) > kMost) {
        broken(shown, ": shape ", shape, " repeats the ", count, " elements of its storage");
      }
    }
    return offset;
  }

  template <class... Parts>
  [[noreturn]] void broken(const Parts&... parts) const {
    fail(ErrorKind::kFormat, storages_->name, ": broken checkpoint: ", parts...);
  }

  std::shared_ptr<Storages> storages_;
  Source& out_;
};

std::shared_ptr<Storages> storages_in(const File& file, const ReadOptions& options) {
  auto storages = std::make_shared<Storages>();
  storages->name = file->name();
  storages->owner = file;
  storages->mapping = file.get();
  storages->widen_halves = options.widen_halves;
  return storages;
}

}  // namespace

Source open_torch_zip(const File& file, const ReadOptions& options) {
  const ZipFile zip(file);
  const auto broken = [&](const auto&... parts) {
    fail(ErrorKind::kFormat, file->name(), ": ", parts...);
  };
  // Every member lies in one folder of any name.
  std::string folder;
  for (const auto& [name, member] : zip.members()) {
    if (name == "data.pkl" || name.ends_with("/data.pkl")) folder = name.substr(0, name.size() - 8);
  }
  const auto stored = [&](const std::string& name) {
    const auto found = zip.members().find(folder + name);
    if (found == zip.members().end()) return std::span<const std::byte>();
    // torch.save packs nothing, and torch.load maps members where they lie.
    if (found->second.deflated) broken("'", name, "' is deflated, expected it stored");
    return found->second.packed;
  };
  const auto order = stored("byteorder");
  if (!order.empty() &&
      std::string_view(reinterpret_cast<const char*>(order.data()), order.size()) != "little") {
    broken("its byte order is '",
           printable({reinterpret_cast<const char*>(order.data()), order.size()}),
           "', expected little");
  }
  if (zip.members().contains(folder + "constants.pkl")) {
    broken("holds a TorchScript program, expected a state_dict");
  }
  auto storages = storages_in(file, options);
  const std::string prefix = folder + "data/";
  for (const auto& [name, member] : zip.members()) {
    if (!name.starts_with(prefix)) continue;
    const std::string key = name.substr(prefix.size());
    storages->bytes[key] = stored("data/" + key);
  }
  Source source;
  const Pickle pickle(stored("data.pkl"), file->name(), judge);
  Collector(storages, source).collect(pickle.root());
  return source;
}

Source open_torch_legacy(const File& file, const ReadOptions& options) {
  const std::string& name = file->name();
  std::span<const std::byte> rest = file->bytes();
  const auto next = [&] {
    Pickle pickle(rest, name, judge);
    rest = rest.subspan(pickle.length());
    return pickle;
  };
  // The magic number 0x1950a86a20f9469cfc6c.
  const Pickle magic = next();
  if (magic.root().text != std::string_view("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10) &&
      magic.root().text != "119547037146038801333356L") {
    fail(ErrorKind::kFormat, name, ": a pickle, but not one of PyTorch; expected a state_dict ",
         "that torch.save wrote");
  }
  const Pickle version = next();
  if (!version.root().is(Kind::kInteger) || version.root().integer != 1001) {
    fail(ErrorKind::kFormat, name, ": got another version of the legacy format than 1001");
  }
  const Pickle system = next();
  for (size_t i = 0; i + 1 < system.root().items.size(); i += 2) {
    if (system.root().items[i]->text == "little_endian" && !system.root().items[i + 1]->integer) {
      fail(ErrorKind::kFormat, name, ": got a big-endian checkpoint, expected a little-endian one");
    }
  }
  const Pickle root = next();
  const Pickle keys = next();
  if (!keys.root().is(Kind::kList)) {
    fail(ErrorKind::kFormat, name, ": broken checkpoint: expected a list of storages");
  }

  auto storages = storages_in(file, options);
  Source source;
  Collector collector(storages, source);
  collector.find_storages(root);
  for (const PickleValue* item : keys.root().items) {
    const std::string key(item->text);
    const auto broken = [&](const auto&... parts) {
      fail(ErrorKind::kFormat, name, ": broken checkpoint: storage '", printable(key), "' ",
           parts...);
    };
    const auto dtype = storages->dtypes.find(key);
    // Without a type its length is not known.
    if (dtype == storages->dtypes.end()) broken("is listed, yet nothing uses it");
    uint64_t count = 0, size = 0;
    if (rest.size() < 8) broken("is cut short");
    for (int i = 8; i-- > 0;) count = count << 8 | uint64_t(rest[size_t(i)]);
    rest = rest.subspan(8);
    if (__builtin_mul_overflow(count, size_of(dtype->second), &size) || size > rest.size()) {
      broken("claims ", count, " elements, the file has ", rest.size(), " bytes left");
    }
    if (!storages->bytes.emplace(key, rest.first(size)).second) broken("stands twice");
    rest = rest.subspan(size);
  }
  if (!rest.empty()) {
    fail(ErrorKind::kFormat, name, ": ", rest.size(), " bytes behind the last storage");
  }
  collector.collect(root.root());
  return source;
}

}  // namespace kintsugi::zoo
