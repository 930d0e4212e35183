#include "kintsugi/zoo/weights/jax_vit.h"

#include "kintsugi/engine/ops/layout.h"

namespace kintsugi::zoo {

namespace {

constexpr const char* kPatches = "embedding/kernel";

// What stands before all names: "" or a training state's path.
const char* prefix_of(const nn::State& state) {
  for (const char* prefix : {"", "opt/target/", "params/", "params/img/"}) {
    if (state.contains(std::string(prefix) + kPatches)) return prefix;
  }
  return nullptr;
}

class Converter {
 public:
  explicit Converter(nn::State& state) : from_(state) {
    const std::string prefix = prefix_of(state);
    for (auto& [name, tensor] : state) {
      if (name.starts_with(prefix)) named_.emplace(name.substr(prefix.size()), tensor);
    }
  }

  void run() {
    put("patch_embed.proj.weight", kPatches, [](const Tensor& w) {
      return w.rank() == 4 ? w.permute({3, 2, 0, 1}) : w;
    });
    same("patch_embed.proj.bias", "embedding/bias");
    same("cls_token", "cls");
    same("pos_embed", "Transformer/posembed_input/pos_embedding");
    same("pos_embed", "pos_embedding");
    linear("head", "head");
    norm("norm", "Transformer/encoder_norm");
    named_.erase("pre_logits/kernel");
    named_.erase("pre_logits/bias");
    // big_vision numbers its submodules from 0 and counts each kind by itself.
    for (int64_t i = 0; block("Transformer/encoderblock_" + std::to_string(i) + "/", i); ++i) {
    }
    unstack();
    pool("MAPHead_0/");
    from_.clear();
    from_.merge(made_);
    from_.merge(named_);
  }

 private:
  template <class Change>
  void put(const std::string& to, const std::string& from, const Change& change) {
    const auto found = named_.find(from);
    if (found == named_.end()) return;
    made_[to] = change(found->second).contiguous();
    named_.erase(found);
  }
  void same(const std::string& to, const std::string& from) {
    put(to, from, [](const Tensor& w) { return w; });
  }
  void linear(const std::string& to, const std::string& from) {
    put(to + ".weight", from + "/kernel",
        [](const Tensor& w) { return w.rank() == 2 ? w.transpose(0, 1) : w; });
    same(to + ".bias", from + "/bias");
  }
  void norm(const std::string& to, const std::string& from) {
    same(to + ".weight", from + "/scale");
    same(to + ".bias", from + "/bias");
  }

  // Kernels (in, heads, width of a head) one under the other as (out, in); biases likewise.
  void heads(const std::string& to, const std::string& from,
             const std::vector<const char*>& parts) {
    std::vector<Tensor> kernels, biases;
    for (const char* part : parts) {
      const auto kernel = named_.find(from + part + "/kernel"),
                 bias = named_.find(from + part + "/bias");
      if (kernel == named_.end() || bias == named_.end() || kernel->second.rank() != 3) return;
      const Tensor dense = kernel->second.contiguous();
      kernels.push_back(dense.view({dense.size(0), -1}).transpose(0, 1));
      biases.push_back(bias->second.contiguous().view({-1}));
    }
    made_[to + ".weight"] = ops::concat(kernels, 0).contiguous();
    made_[to + ".bias"] = ops::concat(biases, 0).contiguous();
    for (const char* part : parts) {
      named_.erase(from + part + "/kernel");
      named_.erase(from + part + "/bias");
    }
  }
  // The kernel (heads, width of a head, out) as (out, in).
  void joined(const std::string& to, const std::string& from) {
    put(to + ".weight", from + "/kernel", [](const Tensor& w) {
      return w.rank() == 3 ? w.contiguous().view({-1, w.size(2)}).transpose(0, 1) : w;
    });
    same(to + ".bias", from + "/bias");
  }
  void mlp(const std::string& to, const std::string& from) {
    linear(to + ".fc1", from + "/Dense_0");
    linear(to + ".fc2", from + "/Dense_1");
  }

  bool block(const std::string& from, int64_t index) {
    if (!named_.contains(from + "LayerNorm_0/scale")) return false;
    const bool big_vision = named_.contains(from + "LayerNorm_1/scale");
    const std::string to = "blocks." + std::to_string(index) + ".";
    const std::string attention =
        from + "MultiHeadDotProductAttention_" + (big_vision ? "0/" : "1/");
    norm(to + "norm1", from + "LayerNorm_0");
    heads(to + "attn.qkv", attention, {"query", "key", "value"});
    joined(to + "attn.proj", attention + "out");
    norm(to + "norm2", from + "LayerNorm_" + (big_vision ? "1" : "2"));
    mlp(to + "mlp", from + "MlpBlock_" + (big_vision ? "0" : "3"));
    return true;
  }

  // All blocks in one array each, the block's number first.
  void unstack() {
    const std::string all = "Transformer/encoderblock/", one = "Transformer/encoderblock_";
    const auto norms = named_.find(all + "LayerNorm_0/scale");
    if (norms == named_.end() || norms->second.rank() != 2) return;
    const int64_t depth = norms->second.size(0);
    nn::State stacked;
    std::erase_if(named_, [&](const auto& entry) {
      const bool fits =
          entry.first.starts_with(all) && entry.second.rank() > 1 && entry.second.size(0) == depth;
      if (fits) stacked.insert(entry);
      return fits;
    });
    for (int64_t i = 0; i < depth; ++i) {
      const std::string name = one + std::to_string(i) + "/";
      for (const auto& [from, tensor] : stacked) {
        named_[name + from.substr(all.size())] = tensor.slice(0, i, i + 1).squeeze(0);
      }
      block(name, i);
    }
  }

  // Pooling by attention with a learned query.
  void pool(const std::string& from) {
    if (!named_.contains(from + "probe")) return;
    const std::string attention = from + "MultiHeadDotProductAttention_0/";
    same("attn_pool.latent", from + "probe");
    heads("attn_pool.kv", attention, {"key", "value"});
    heads("attn_pool.q", attention, {"query"});
    joined("attn_pool.proj", attention + "out");
    norm("attn_pool.norm", from + "LayerNorm_0");
    mlp("attn_pool.mlp", from + "MlpBlock_0");
  }

  nn::State& from_;
  nn::State named_, made_;  // still under JAX's names, without their prefix; under timm's
};

}  // namespace

bool is_jax_vit(const nn::State& state) {
  return prefix_of(state) != nullptr;
}

bool jax_vit_to_timm(nn::State& state) {
  if (!is_jax_vit(state)) return false;
  Converter(state).run();
  return true;
}

}  // namespace kintsugi::zoo
