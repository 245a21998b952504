// bulkhead: the gateway and every command.
#include "apps/commands.h"
#include "base/log.h"
#include "base/scrub.h"

int main(int argc, char** argv) {
  bulkhead::base::harden_process();
  bulkhead::base::log::set_component("bulkhead");
  CLI::App app{"Bulkhead: one model, many tenants, walls between them."};
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of every command");
  bulkhead::apps::Action action;
  bulkhead::apps::add_init(app, action);
  bulkhead::apps::add_serve(app, action);
  bulkhead::apps::add_config(app, action);
  bulkhead::apps::add_tenant(app, action);
  bulkhead::apps::add_backup(app, action);
  bulkhead::apps::add_migrate(app, action);
  bulkhead::apps::add_posture(app, action);
  bulkhead::apps::add_model(app, action);
  bulkhead::apps::add_keys(app, action);
  bulkhead::apps::add_erase(app, action);
  bulkhead::apps::add_operator_key(app, action);
  bulkhead::apps::add_audit(app, action);
  bulkhead::apps::add_receipt(app, action);
  bulkhead::apps::add_issuer(app, action);
  bulkhead::apps::add_dev_idp(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    int status = app.exit(error);
    return status == 0 ? 0 : 2;
  }
  return action();
}
