#include <iostream>

#include "kintsugi/zoo/load.h"

int main(int argc, char** argv) {
  using namespace kintsugi;
  if (argc != 2) return 2;
  const zoo::LoadedNetwork loaded = zoo::load_network("", argv[1]);  // a weights file with its card
  const nn::Cost cost = loaded.network->cost();
  std::cout << loaded.card.architecture << ": " << cost.params << " parameters, " << cost.macs << " MACs\n";
  for (const auto& block : loaded.network->blocks()) std::cout << block.name << "\n";
}
