#include "kintsugi/zoo/card.h"

#include "kintsugi/zoo/json.h"

namespace kintsugi::zoo {

namespace {
constexpr const char* kKey = "kintsugi.card";
}

Card card_of(const Variant& variant) {
  return {.architecture = variant.name,
          .classes = variant.classes,
          .input = variant.input,
          .preprocessing = variant.preprocessing};
}

void put_card(std::map<std::string, std::string>& metadata, const Card& card) {
  Json json = {{"architecture", card.architecture},
               {"classes", card.classes},
               {"input", to_json(card.input)},
               {"mean", card.preprocessing.mean},
               {"std", card.preprocessing.std},
               {"interpolation", card.preprocessing.interpolation},
               {"crop_pct", card.preprocessing.crop_pct},
               {"labels", card.labels},
               {"licence", card.licence},
               {"facts", card.facts}};
  if (!card.naming.empty()) json["naming"] = card.naming;
  metadata[kKey] = json.dump();
}

Card card_from(const std::map<std::string, std::string>& metadata, const std::string& file) {
  const auto found = metadata.find(kKey);
  if (found == metadata.end()) return {};
  const std::string where = file + ": card";
  const Json json = parse_json(found->second, where);
  Card card;
  card.architecture = get<std::string>(json, "architecture", where);
  card.classes = get<int64_t>(json, "classes", where);
  card.input = shape_from(json, "input", 3, where);
  card.preprocessing.mean = get<std::vector<double>>(json, "mean", where);
  card.preprocessing.std = get<std::vector<double>>(json, "std", where);
  card.preprocessing.interpolation = get_or<std::string>(json, "interpolation", where, "bilinear");
  card.preprocessing.crop_pct = get_or<double>(json, "crop_pct", where, 1);
  card.naming = get_or<std::string>(json, "naming", where, "");
  card.labels = get_or<std::vector<std::string>>(json, "labels", where, {});
  card.licence = get_or<std::string>(json, "licence", where, "");
  card.facts = get_or<std::map<std::string, std::string>>(json, "facts", where, {});
  check_card(card, where);
  return card;
}

void check_card(const Card& card, const std::string& where) {
  if (card.classes < 0) fail(ErrorKind::kFormat, where, ": got ", card.classes, " classes");
  for (const double value : card.preprocessing.std) {
    if (!(value > 0))
      fail(ErrorKind::kFormat, where, ": got std ", value, ", expected more than 0");
  }
  const size_t means = card.preprocessing.mean.size(), deviations = card.preprocessing.std.size();
  if (means == 0 || means != deviations) {
    fail(ErrorKind::kFormat, where, ": got ", means, " means and ", deviations, " deviations");
  }
  const double crop = card.preprocessing.crop_pct;
  if (!(crop > 0 && crop <= 1)) {
    fail(ErrorKind::kFormat, where, ": got crop_pct ", crop, ", expected more than 0, at most 1");
  }
}

}  // namespace kintsugi::zoo
