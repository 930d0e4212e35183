#include "kintsugi/zoo/files/similarity_file.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/zoo/files/common.h"
#include "kintsugi/zoo/files/matrix_text.h"
#include "kintsugi/zoo/weights/atomic_file.h"
#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

namespace {

constexpr MetricLaws kLaws[] = {
    {"linear-cka", true, 0}, {"linear-cka-unbiased", true, -1},
    {"rbf-cka", true, 0},    {"linear-regression", false, 0},
    {"cca", true, 0},        {"svcca", true, 0},
};
constexpr double kRounding = 2e-6;  // files hold six digits

// "resnet50:3", for messages.
std::string name_of_position(const SimilarityFile& file, size_t position) {
  for (const DissectedModel& model : file.models) {
    if (position < size_t(model.positions())) return model.name + ":" + std::to_string(position);
    position -= size_t(model.positions());
  }
  return "?";
}

// What the file's metric cannot give is a mistake of whoever wrote it. Values that only rounding
// took past a limit are put back.
void check_laws(SimilarityFile& file, const std::string& where) {
  const auto laws = std::find_if(std::begin(kLaws), std::end(kLaws),
                                 [&](const MetricLaws& l) { return file.metric == l.name; });
  if (laws == std::end(kLaws)) return;
  solvers::Matrix& s = file.similarity;
  const auto refuse = [&](size_t i, size_t j, const auto&... rest) {
    fail(ErrorKind::kFormat, where, ": similarity of ", name_of_position(file, i), " and ",
         name_of_position(file, j), " is ", s(i, j), ", expected ", rest...);
  };
  for (size_t i = 0; i < s.rows; ++i) {
    if (std::abs(s(i, i) - 1) > kRounding) {
      refuse(i, i, "1: a position is like itself");
    }
    for (size_t j = 0; j < s.cols; ++j) {
      if (s(i, j) < laws->least - kRounding || s(i, j) > 1 + kRounding) {
        refuse(i, j, laws->least, " to 1: ", laws->name, " gives nothing else");
      }
      if (laws->symmetric && j < i && std::abs(s(i, j) - s(j, i)) > kRounding) {
        refuse(i, j, s(j, i), " as the other way round: ", laws->name, " is symmetric");
      }
    }
  }
  for (double& v : s.values) v = std::clamp(v, laws->least, 1.0);
}

}  // namespace

std::span<const MetricLaws> metric_laws() {
  return kLaws;
}

SimilarityFile read_similarity(const fs::path& path) {
  const MappedFile mapped(path);
  const std::string file = path.string();
  const auto bytes = mapped.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  SimilarityFile out;
  // The matrix is read past the JSON library, and a number stands in its place.
  std::string rest;
  const size_t begin = find_value(text, "similarity");
  size_t end = begin;
  if (begin != std::string_view::npos) {
    out.similarity = parse_matrix(text, end, file + ": similarity");
    rest.append(text.substr(0, begin)).append("0").append(text.substr(end));
  }
  const Json json = parse_json(begin == std::string_view::npos ? text : rest, file);
  check_format(json, "similarity", file);
  field(json, "similarity", file);
  out.metric = get<std::string>(json, "metric", file);
  out.images = get_or<int64_t>(json, "images", file, 0);
  out.batch_size = get_or<int64_t>(json, "batch_size", file, 0);
  out.seed = get_or<uint64_t>(json, "seed", file, 0);
  out.tokens = get_or<int64_t>(json, "tokens", file, 0);
  out.compat = get_or<std::string>(json, "compat", file, "");
  out.ridge = get_or<double>(json, "ridge", file, 0);
  if (json.contains("projection")) {
    const Json& p = json.at("projection");
    const std::string where = file + ": projection";
    out.projection = SimilarityFile::Projected{
        get<std::string>(p, "method", where), get<int64_t>(p, "dims", where),
        get_or<uint64_t>(p, "seed", where, 0), get_or<double>(p, "kept", where, 0)};
  }
  out.exact = get_or<std::vector<std::pair<int64_t, int64_t>>>(json, "exact", file, {});
  out.models = models_from(json, file, path);
  if (out.models.empty()) fail(ErrorKind::kFormat, file, ": no models");
  size_t positions = 0;
  for (const DissectedModel& model : out.models) positions += size_t(model.positions());
  if (out.similarity.rows != positions || out.similarity.cols != positions) {
    fail(ErrorKind::kFormat, file, ": similarity: got ", out.similarity.rows, " rows of ",
         out.similarity.cols, ", expected ", positions, " rows of ", positions,
         " numbers: one for each position of the models");
  }
  check_laws(out, file);
  return out;
}

void write_similarity(const fs::path& path, const SimilarityFile& file) {
  Json models = Json::array();
  for (const DissectedModel& model : file.models) models.push_back(model_json(model, path));
  Json json{{"format", "kintsugi-similarity/1"}, {"metric", file.metric}};
  if (file.metric == laws_of(Metric::kLinearRegression).name) {
    json["direction"] = "row predicts column";
    json["ridge"] = file.ridge;
  }
  if (!file.compat.empty()) json["compat"] = file.compat;
  json["images"] = file.images;
  json["batch_size"] = file.batch_size;
  json["seed"] = file.seed;
  if (file.tokens > 0) json["tokens"] = file.tokens;
  if (file.projection) {
    const SimilarityFile::Projected& p = *file.projection;
    json["projection"] = {
        {"method", p.method}, {"dims", p.dims}, {"seed", p.seed}, {"kept", p.kept}};
  }
  if (!file.exact.empty()) json["exact"] = file.exact;
  json["models"] = models;
  std::string text = dump_json(json);
  text.resize(text.size() - 3);  // "\n}\n"
  AtomicFile out(path);
  out.write(text + ",\n  \"similarity\": ");
  out.write(matrix_text(file.similarity, "  "));
  out.write("\n}\n");
  out.commit();
}

}  // namespace kintsugi::zoo
