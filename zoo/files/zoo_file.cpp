#include "kintsugi/zoo/files/zoo_file.h"

#include "kintsugi/zoo/files/common.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

ZooFile read_zoo(const fs::path& path) {
  const Json json = read_json(path);
  const std::string file = path.string();
  check_format(json, "zoo", file);
  ZooFile zoo;
  const Json& list = field(json, "models", file);
  if (!list.is_array()) fail(ErrorKind::kFormat, file, ": field 'models' is no list");
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = at(file, "models", i);
    ZooFile::Model model;
    model.model = get<std::string>(list[i], "model", where);
    model.name = get_or<std::string>(list[i], "name", where, "");
    model.weights = resolve(path, get<std::string>(list[i], "weights", where));
    model.classes = get_or<int64_t>(list[i], "classes", where, 0);
    model.mean = get_or<std::vector<double>>(list[i], "mean", where, {});
    model.std = get_or<std::vector<double>>(list[i], "std", where, {});
    model.licence = get_or<std::string>(list[i], "licence", where, "");
    zoo.models.push_back(std::move(model));
  }
  return zoo;
}

void write_zoo(const fs::path& path, const ZooFile& zoo) {
  Json models = Json::array();
  for (const ZooFile::Model& model : zoo.models) {
    models.push_back({{"model", model.model},
                      {"weights", relative_to(path, model.weights)},
                      {"classes", model.classes},
                      {"mean", model.mean},
                      {"std", model.std},
                      {"licence", model.licence}});
    if (!model.name.empty()) models.back()["name"] = model.name;
  }
  write_json(path, {{"format", "kintsugi-zoo/1"}, {"models", models}});
}

}  // namespace kintsugi::zoo
