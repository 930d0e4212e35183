#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/catalog.h"

namespace kintsugi::apps::commands {

int models(Session& session) {
  if (!session.parse("The catalog of architectures, with parameters and MACs.", {})) return 0;
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows{{"model", "family", "params", "MACs", "input"}};
  for (const zoo::Variant& variant : zoo::catalog()) {
    const nn::Cost cost = zoo::build_network(variant.name)->cost();
    list.push_back({{"name", variant.name},
                    {"family", variant.family},
                    {"params", cost.params},
                    {"macs", cost.macs},
                    {"input", json_of(variant.input)}});
    rows.push_back(
        {variant.name, variant.family, count(cost.params), count(cost.macs), variant.input.str()});
  }
  std::cout << (session.json() ? list.dump(1) + "\n" : table(rows));
  return 0;
}

}  // namespace kintsugi::apps::commands
