#include "kintsugi/zoo/files/similarity_file.h"

#include "kintsugi/zoo/files/common.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

SimilarityFile read_similarity(const fs::path& path) {
  const Json json = read_json(path);
  const std::string file = path.string();
  check_format(json, "similarity", file);
  SimilarityFile out;
  out.metric = get<std::string>(json, "metric", file);
  out.images = get_or<int64_t>(json, "images", file, 0);
  out.models = models_from(json, file, path);
  size_t positions = 0;
  for (const DissectedModel& model : out.models) positions += size_t(model.positions());
  out.similarity = matrix_from(field(json, "similarity", file), positions, positions,
                               file + ": similarity");
  return out;
}

void write_similarity(const fs::path& path, const SimilarityFile& file) {
  Json models = Json::array();
  for (const DissectedModel& model : file.models) models.push_back(model_json(model, path));
  write_json(path, {{"format", "kintsugi-similarity/1"},
                    {"metric", file.metric},
                    {"images", file.images},
                    {"models", models},
                    {"similarity", matrix_json(file.similarity)}});
}

}  // namespace kintsugi::zoo
