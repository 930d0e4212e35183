// ONNX models (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): the floating initialisers
// under the names that the module had before PyTorch exported it. Protocol buffers are read as
// https://protobuf.dev/programming-guides/encoding describes them.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <unordered_map>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/printable.h"
#include "kintsugi/zoo/weights/readers.h"
#include "kintsugi/zoo/weights/stored.h"

namespace kintsugi::zoo {

namespace {

constexpr size_t kMostParts = 200'000;  // nodes, or initialisers, or their inputs

// The fields of one message, one after the other.
class Message {
 public:
  Message(std::span<const std::byte> bytes, const std::string& file) : rest_(bytes), file_(file) {}

  uint64_t field = 0;
  uint64_t value = 0;                // of a number
  std::span<const std::byte> bytes;  // of a string, a message or a packed list

  bool next() {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    field = key >> 3;
    value = 0;
    bytes = {};
    switch (key & 7) {
      case 0:
        value = varint();
        break;
      case 1:
        bytes = take(8);
        break;
      case 2:
        bytes = take(varint());
        break;
      case 5:
        bytes = take(4);
        break;
      default:
        broken("a field of an unknown kind");
    }
    if (field == 0) broken("a field without a number");
    return true;
  }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // A list of numbers: packed here, or this one of a list that is not.
  template <class Use>
  void numbers(const Use& use) const {
    if (bytes.data() == nullptr) return use(value);
    Message list(bytes, file_);
    while (!list.rest_.empty()) use(list.varint());
  }

 private:
  [[noreturn]] void broken(std::string_view what) const {
    fail(ErrorKind::kFormat, file_, ": broken ONNX model: ", what);
  }
  std::span<const std::byte> take(uint64_t count) {
    if (count > rest_.size()) broken("it ends too early");
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = uint64_t(take(1)[0]);
      out |= (byte & 0x7f) << shift;
      if (byte < 0x80) return out;
    }
    broken("a number of more than 64 bits");
  }

  std::span<const std::byte> rest_;
  const std::string& file_;
};

struct Initializer {
  StoredTensor stored;
  size_t uses = 0;  // as a layer's parameter
};

struct Node {
  std::string_view kind, name;
  std::vector<std::string_view> inputs, outputs;
  bool transposed = false;  // Gemm's transB
};

// Of a floating tensor; nothing for others, which are shapes and indices and no weights.
std::optional<StoredTensor> tensor_of(std::span<const std::byte> bytes, const std::string& file,
                                      std::string_view& name) {
  StoredTensor stored;
  uint64_t type = 0;
  bool external = false, unpacked = false;
  std::span<const std::byte> raw, floats, doubles;
  for (Message m(bytes, file); m.next();) {
    if (m.field == 1) {
      m.numbers([&](uint64_t extent) {
        if (stored.shape.size() == 32) {
          fail(ErrorKind::kFormat, file,
               ": broken ONNX model: a tensor of more than 32 dimensions");
        }
        stored.shape.push_back(int64_t(extent));
      });
    }
    if (m.field == 2) type = m.value;
    if (m.field == 4) floats = m.bytes;
    if (m.field == 5) unpacked = true;
    if (m.field == 8) name = m.text();
    if (m.field == 9) raw = m.bytes;
    if (m.field == 10) doubles = m.bytes;
    if (m.field == 13 || (m.field == 14 && m.value == 1)) external = true;
  }
  const std::string where = file + ": '" + printable(name) + "'";
  switch (type) {
    case 1:
      stored.dtype = StoredDType::kF32;
      break;
    case 10:
      stored.dtype = StoredDType::kF16;
      break;
    case 11:
      stored.dtype = StoredDType::kF64;
      break;
    case 16:
      stored.dtype = StoredDType::kBF16;
      break;
    default:
      return std::nullopt;
  }
  if (external) {
    fail(ErrorKind::kFormat, where, ": its values lie in another file (external data), expected ",
         "them in the model's");
  }
  stored.bytes = !raw.empty() ? raw : type == 1 ? floats : doubles;
  if (stored.bytes.empty() && unpacked) {
    fail(ErrorKind::kFormat, where, ": got halves as numbers, expected raw data");
  }
  const auto expected = bytes_of(stored.shape, stored.dtype);
  if (!expected || *expected != stored.bytes.size()) {
    fail(ErrorKind::kFormat, where, ": got ", stored.bytes.size(), " bytes, its shape takes ",
         expected ? std::to_string(*expected) : "more than 2^64");
  }
  return stored;
}

Node node_of(std::span<const std::byte> bytes, const std::string& file, size_t& parts) {
  Node node;
  for (Message m(bytes, file); m.next();) {
    if (m.field == 1) node.inputs.push_back(m.text());
    if (m.field == 2) node.outputs.push_back(m.text());
    if (m.field == 3) node.name = m.text();
    if (m.field == 4) node.kind = m.text();
    if (m.field == 1 || m.field == 2) ++parts;
    if (parts > kMostParts) {
      fail(ErrorKind::kFormat, file, ": broken ONNX model: more than ", kMostParts, " inputs");
    }
    if (m.field != 5) continue;
    std::string_view name;
    uint64_t value = 0;
    for (Message attribute(m.bytes, file); attribute.next();) {
      if (attribute.field == 1) name = attribute.text();
      if (attribute.field == 3) value = attribute.value;
    }
    if (name == "transB") node.transposed = value != 0;
  }
  return node;
}

// "/layer1/layer1.0/conv1/Conv" -> "layer1.0.conv1": a part that begins as its parent is called is
// the parent's child in a list, and stands for both.
std::string module_of(std::string_view node) {
  std::string path, last;
  size_t kept = 0;  // length of the path before the last part
  while (node.starts_with('/')) {
    node.remove_prefix(1);
    const size_t end = node.find('/');
    if (end == node.npos) break;
    const std::string part(node.substr(0, end));
    if (!last.empty() && part.starts_with(last + ".")) {
      path.resize(kept);
    } else {
      kept = path.empty() ? 0 : path.size() + 1;
    }
    if (kept > 0) path.resize(kept - 1), path += '.';
    path += part;
    last = part;
    node.remove_prefix(end);
  }
  return path;
}

struct Role {
  size_t input;
  const char* leaf;
  bool transposed;
};

// Which inputs of a node are a layer's parameters, and how they lie there.
std::vector<Role> roles_of(const Node& node) {
  if (node.kind == "Conv") return {{1, "weight", false}, {2, "bias", false}};
  if (node.kind == "Gemm") return {{1, "weight", !node.transposed}, {2, "bias", false}};
  if (node.kind == "MatMul") return {{1, "weight", true}};
  if (node.kind == "LayerNormalization") return {{1, "weight", false}, {2, "bias", false}};
  if (node.kind == "BatchNormalization") {
    return {{1, "weight", false},
            {2, "bias", false},
            {3, "running_mean", false},
            {4, "running_var", false}};
  }
  return {};
}

// The exporter's own names, for what it made or changed.
bool is_anonymous(std::string_view name) {
  return name.starts_with("onnx::") || name.starts_with("/") ||
         name.find_first_not_of("0123456789") == name.npos;
}

class Graph {
 public:
  Graph(const File& file, bool widen_halves) : file_(file), widen_halves_(widen_halves) {
    bool found = false;
    for (Message model(file->bytes(), file->name()); model.next();) {
      if (model.field != 7) continue;
      found = true;
      for (Message graph(model.bytes, file->name()); graph.next();) {
        if (graph.field == 1) add_node(graph.bytes);
        if (graph.field == 5) add_initializer(graph.bytes);
      }
    }
    if (!found) fail(ErrorKind::kFormat, file->name(), ": broken ONNX model: it has no graph");
  }

  Source name_all() {
    // What was the same twice is stored once, and named again by an Identity.
    for (const Node& node : nodes_) {
      if (node.kind != "Identity" || node.inputs.size() != 1 || node.outputs.size() != 1) continue;
      if (initializers_.contains(node.inputs[0]) && !initializers_.contains(node.outputs[0])) {
        aliases_[node.outputs[0]] = node.inputs[0];
      }
    }
    for (const Node& node : nodes_) {
      for (const Role& role : roles_of(node)) {
        if (role.input >= node.inputs.size()) continue;
        if (Initializer* used = find(node.inputs[role.input])) ++used->uses;
      }
    }
    for (auto& [name, initializer] : initializers_) {
      if (!is_anonymous(name)) add(std::string(name), initializer.stored, false);
    }
    for (const auto& [name, original] : aliases_) {
      if (!is_anonymous(name)) add(std::string(name), initializers_.at(original).stored, false);
    }
    std::set<std::string_view> placed;
    for (const Node& node : nodes_) {
      for (const Role& role : roles_of(node)) {
        if (role.input >= node.inputs.size()) continue;
        const std::string_view input = node.inputs[role.input];
        const Initializer* used = find(input);
        // A name of the module's own is right, unless it serves several layers.
        if (used == nullptr || (!is_anonymous(input) && used->uses < 2)) continue;
        const bool matrix = used->stored.shape.size() == 2;
        if (role.transposed && !matrix) continue;
        const std::string module = module_of(node.name);
        if (module.empty()) continue;
        add(module + "." + role.leaf, used->stored, role.transposed);
        placed.insert(input);
      }
    }
    // What found no place is shown to a strict load, but for the numbers that formulas are made of.
    for (auto& [name, initializer] : initializers_) {
      const auto& shape = initializer.stored.shape;
      const bool number =
          std::all_of(shape.begin(), shape.end(), [](int64_t extent) { return extent == 1; });
      if (is_anonymous(name) && !placed.contains(name) && !number) {
        add(std::string(name), initializer.stored, false);
      }
    }
    return std::move(source_);
  }

 private:
  void add_node(std::span<const std::byte> bytes) {
    if (nodes_.size() == kMostParts) {
      fail(ErrorKind::kFormat, file_->name(), ": broken ONNX model: more than ", kMostParts,
           " nodes");
    }
    nodes_.push_back(node_of(bytes, file_->name(), parts_));
  }

  void add_initializer(std::span<const std::byte> bytes) {
    std::string_view name;
    const auto stored = tensor_of(bytes, file_->name(), name);
    if (!stored) return;
    if (initializers_.size() == kMostParts) {
      fail(ErrorKind::kFormat, file_->name(), ": broken ONNX model: more than ", kMostParts,
           " initialisers");
    }
    if (!initializers_.emplace(name, Initializer{*stored}).second) {
      fail(ErrorKind::kFormat, file_->name(), ": the name '", printable(name), "' stands twice");
    }
  }

  Initializer* find(std::string_view name) {
    const auto alias = aliases_.find(name);
    const auto found = initializers_.find(alias == aliases_.end() ? name : alias->second);
    return found == initializers_.end() ? nullptr : &found->second;
  }

  // The first to take a name keeps it.
  void add(const std::string& name, const StoredTensor& stored, bool transposed) {
    source_.tensors.emplace(
        name, [file = file_, where = file_->name() + ": '" + printable(name) + "'", stored,
               transposed, widen = widen_halves_] {
          const Tensor tensor = to_tensor(where, stored, widen);
          file->release(stored.bytes);
          return transposed ? tensor.transpose(0, 1).contiguous() : tensor;
        });
  }

  File file_;
  bool widen_halves_;
  size_t parts_ = 0;
  std::vector<Node> nodes_;
  std::map<std::string_view, Initializer> initializers_;
  std::map<std::string_view, std::string_view> aliases_;
  Source source_;
};

}  // namespace

Source open_onnx(const File& file, const ReadOptions& options) {
  return Graph(file, options.widen_halves).name_all();
}

}  // namespace kintsugi::zoo
