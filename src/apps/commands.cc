#include "apps/commands.h"

namespace bulkhead::apps {

void add_admin_options(CLI::App* command, std::string& config, std::string& key_file) {
  command->add_option("--config", config, "Configuration file")->required();
  command->add_option("--key-file", key_file,
                      "File with the operator's API key (mode 0600); or set BULKHEAD_API_KEY");
}

}  // namespace bulkhead::apps
