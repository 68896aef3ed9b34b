// What a job's plan rests on, for people and as JSON: `einet jobs --explain`.
#pragma once

#include <iosfwd>

#include "ipc/client/protocol.pb.h"
#include "tools/einet/json.h"

namespace einet::cli {

Json to_json(const wire::PlanBasis& basis);
// A paragraph and a table for each job that has a plan.
void explain(const wire::JobList& list, std::ostream& out);

}  // namespace einet::cli
