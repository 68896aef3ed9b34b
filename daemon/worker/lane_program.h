// What a lane of einet-worker does with its grants: finds model, state and input, runs trunks and exits. The
// loop around it, and all talk with the daemon, is ipc/lane/worker_end.h.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "daemon/worker/lane_place.h"
#include "daemon/worker/model_table.h"
#include "daemon/worker/slot_table.h"
#include "daemon/worker/urgent_time.h"
#include "ipc/lane/worker_end.h"

namespace einet {

// One lane's thread.
class WorkerLane final : public lane::LaneProgram {
 public:
  // `place` is this lane's, `urgent` that of this lane and its urgent lane; they, `arena`, the backend and
  // the tables outlive it. `complain` gets a sentence for each grant that fails.
  WorkerLane(int lane, LanePlace& place, const Backend&, const ModelTable&, SlotTable&, UrgentTime& urgent,
             std::span<const std::byte> arena, std::function<void(const std::string&)> complain);

  void take_rank(lane::Rank rank) override { place_.take_rank(rank); }
  Duration lane_time() const override;
  lane::End begin(const lane::GrantMessage&, std::size_t n) override;
  bool trunk(int block, Jobs) override;
  Jobs exit(int block, Jobs) override;
  // On base lanes alone: an urgent one has the device while it is in a call.
  bool launch(int block, Jobs, Jobs answers) override;
  Jobs await(int block, Jobs, Jobs answers) override;
  std::span<const float> scores(std::size_t n) const override { return batch_[n].scores[answered_]; }
  void end(std::size_t n, int next_block) override;

 private:
  struct Member {
    lane::GrantMessage grant;
    TrunkState* state = nullptr;
    // By block: of those in flight, and of the one that is reported meanwhile.
    std::array<std::vector<float>, kMaxInFlight + 1> scores;
  };
  // Error: and how the grant ends.
  boost::system::result<void, GrantRefusal> prepare(Member&);
  // The jobs that run the block in progress,
  void choose(Jobs);
  // and of these the ones that want its answer.
  void want(int block, Jobs answers);
  // Complains, of each job, if it did not.
  bool worked(const Result<void>& ran, Jobs);
  // Returns those whose answers can be reported; complains of the others.
  Jobs check(int block, Jobs answers);
  // What a block's part returns. On a GPU the base lane's block stands still while the urgent lane's runs.
  template <class F>
  Result<void> run(F&& part);
  static Result<void> check(std::span<float> scores);
  static std::size_t place_of(int block) { return static_cast<std::size_t>(block) % (kMaxInFlight + 1); }
  void complain(const Member&, const std::string& why);

  int lane_;
  LanePlace& place_;
  const Backend& backend_;
  const ModelTable& models_;
  SlotTable& jobs_;
  UrgentTime& urgent_;
  std::span<const std::byte> arena_;
  std::function<void(const std::string&)> complain_;

  std::array<Member, kMaxBatch> batch_;
  LaneModel* model_ = nullptr;            // that it runs
  std::vector<TrunkState*> states_;       // of those that run the block in progress,
  std::vector<std::size_t> numbers_;      // their numbers,
  std::vector<std::span<float>> wanted_;  // and where their scores go
  std::size_t answered_ = 0;              // the place of the scores of the last block
};

}  // namespace einet
