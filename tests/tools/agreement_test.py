"""What tools/agreement.py makes of traces and rows that are made up, with figures that are known."""

import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import agreement
from agreement import Estimate, Job, Lane, Run

TRUNK, EXIT = [100, 100], [20, 20]


def block(job, number, start, end, exit=True, used=None, known=None, tenant="jobs", grant=None, asked=None):
    event = {"event": "block", "job": job, "block": number, "start_ns": start, "end_ns": end, "tenant": tenant}
    event |= {"used_ns": end - start if used is None else used, "at_ns": known or end, "grant": grant or job}
    event |= {"granted_ns": start if asked is None else asked}
    return event | ({"exit": number} if exit else {})


def rival(start, end, **more):
    return block(99, 0, start, end, tenant="rival", **more)


def row(job=1, outcome="completed", exit="1", top="3", label="3", executed=3, received=0, deadline=400):
    times = {"received_ns": str(received), "deadline_ns": str(deadline)}
    answer = {"exit": exit, "top_class": top, "label": label, "executed_exits": str(executed)}
    return {"job": str(job), "outcome": outcome, **answer, **times}


def judge(events, **of_row):
    return Run(Lane(events, "rival"), [row(**of_row)]).judge(TRUNK, EXIT)[0]


class Stopped(unittest.TestCase):
    def test_a_job_that_was_never_stopped_could_have_had_what_was_left(self):
        self.assertEqual(judge([block(1, 0, 10, 130), block(1, 1, 130, 250)]).stopped, 240 + 150)

    def test_what_the_rival_took_afterwards_it_could_not_have_had(self):
        events = [block(1, 0, 10, 130), block(1, 1, 130, 250), rival(300, 350)]
        self.assertEqual(judge(events).stopped, 240 + 100)

    def test_a_job_that_was_stopped_had_exactly_its_blocks(self):
        self.assertEqual(judge([block(1, 0, 10, 130), rival(130, 500)], outcome="deadline", exit="0", executed=1).stopped, 120)

    def test_a_block_in_which_the_rival_comes_goes_on_to_its_end(self):
        job = judge([block(1, 0, 0, 120), block(1, 1, 120, 240), rival(240, 400, asked=180)])
        self.assertEqual((job.stopped, job.at_most), (180, 180 + 220))
        for exits, stopped in (([0, 1], 240), ([0], 220), ([1], 220), ([], 200)):
            self.assertEqual(list(agreement.kill_times([job], exits, TRUNK, EXIT)), [stopped])
        early = judge([block(1, 0, 0, 120), rival(120, 400, asked=110)])
        self.assertEqual(list(agreement.kill_times([early], [1], TRUNK, EXIT)), [220])  # it was in the next block by then
        # Once every block is done nothing more is rounded; nor is what the deadline stops.
        self.assertEqual(list(agreement.kill_times([Job(True, True, 1, 500, 600)], [0], TRUNK, EXIT)), [500])
        self.assertEqual(list(agreement.kill_times([Job(True, True, 1, 110, 110)], [0], TRUNK, EXIT)), [110])

    def test_a_block_that_would_end_after_the_deadline_does_not_end(self):
        job = judge([block(1, 0, 0, 100, exit=False), rival(100, 400, asked=60)], deadline=110)
        self.assertEqual(list(agreement.kill_times([job], [], TRUNK, EXIT)), [100])
        self.assertEqual(list(agreement.kill_times([job], [0], TRUNK, EXIT)), [110])

    def test_a_rival_that_leaves_the_lane_again_stops_nobody(self):
        job = judge([block(1, 0, 0, 120), rival(120, 150, asked=60)])
        self.assertEqual((job.stopped, job.at_most), (120 + 250, 120 + 250))

    def test_waiting_before_its_first_block_is_lost(self):
        self.assertEqual(judge([rival(0, 200), block(1, 0, 200, 320), rival(320, 600)]).stopped, 120)

    def test_the_network_counts_its_own_time(self):
        # Both blocks took twice their time, so of the 120 that nobody took it could have used 60.
        events = [block(1, 0, 0, 200, exit=False), block(1, 1, 200, 440), rival(560, 700)]
        self.assertEqual(judge(events, deadline=600).stopped, 220 + 60)

    def test_standing_still_within_a_block_is_no_lane_time(self):
        self.assertEqual(judge([block(1, 0, 0, 320, used=120), rival(320, 400)]).stopped, 120)

    def test_a_block_that_ends_after_the_deadline_counts_in_part(self):
        could = judge([block(1, 0, 340, 460)]).stopped
        self.assertEqual(could, 60)
        self.assertLess(could, TRUNK[0] + EXIT[0])

    def test_a_job_that_never_ran_could_have_had_what_was_free(self):
        self.assertEqual(judge([rival(0, 390)], outcome="missed", exit="", executed=0).stopped, 10)

    def test_a_lane_that_does_not_begin_is_not_free(self):
        grant = {"event": "grant", "at_ns": 20, "grant": 7}
        self.assertEqual(judge([grant, rival(150, 400, grant=7)], exit="", outcome="missed").stopped, 20)
        stop = {"event": "stop", "at_ns": 380, "grant": 7}
        self.assertEqual(judge([grant, stop], exit="", outcome="missed").stopped, 20 + 20)

    def test_a_lane_is_not_free_before_the_daemon_knows_that_it_is(self):
        self.assertEqual(judge([rival(0, 100, known=300)], exit="", outcome="missed").stopped, 100)

    def test_overlapping_times_count_once(self):
        lane = Lane([rival(0, 100, known=160), rival(120, 200), rival(300, 310)], "rival")
        self.assertEqual(lane.free(0, 400), 190)
        self.assertEqual(lane.free(150, 305), 100)
        self.assertEqual(lane.free(300, 200), 0)

    def test_a_job_that_came_too_late_had_nothing(self):
        job = judge([], outcome="rejected", exit="")
        self.assertEqual((job.right, job.answered, job.stopped), (False, False, 0))


class Answers(unittest.TestCase):
    def test_count_if_the_job_has_them_at_its_deadline(self):
        for outcome, answered in (("completed", True), ("deadline", True), ("missed", False), ("cancelled", False)):
            self.assertEqual(judge([], outcome=outcome).answered, answered)
        self.assertTrue(judge([]).right)
        self.assertFalse(judge([], top="4").right)
        self.assertFalse(judge([], exit="", top="", label="").right)
        self.assertEqual(judge([], executed=5).executed, 2)


class BlockTimes(unittest.TestCase):
    def test_are_what_lanes_took(self):
        first = Run(Lane([block(1, 0, 0, 150), block(1, 1, 150, 300)], "rival"), [row()])
        second = Run(Lane([block(2, 0, 0, 110, exit=False), block(2, 1, 110, 210, exit=False)], "rival"), [row(job=2)])
        self.assertEqual(agreement.block_times([first, second], TRUNK, EXIT), ([110, 100], [40, 50]))

    def test_keep_their_proportion_where_nothing_else_is_known(self):
        every = Run(Lane([block(1, 0, 0, 240), block(1, 1, 240, 480)], "rival"), [row()])
        trunk, exit = agreement.block_times([every], TRUNK, EXIT)
        self.assertEqual((trunk, exit), ([200, 200], [40, 40]))
        none = Run(Lane([], "rival"), [])
        self.assertEqual(agreement.block_times([none], TRUNK, EXIT), (TRUNK, EXIT))
        self.assertEqual(none.slowness(TRUNK, EXIT), 1)


class Schedule(unittest.TestCase):
    def test_every_plan_meets_the_same_rivals_in_changing_order(self):
        plans = ["a", "b", "c"]
        due, rivals = agreement.schedule(plans, 50, 1000, 400, 300, 1)
        self.assertEqual([len(due[plan]) for plan in plans], [50] * 3)
        self.assertEqual(rivals, sorted(rivals))
        for times in due.values():
            self.assertEqual(times, sorted(times))

        def beside(t):
            return [r - t for r in rivals if t // 1000 == r // 1000]

        for same in zip(*due.values()):
            a, b, c = (beside(t) for t in same)
            self.assertTrue(a == b == c)
        order = [min(plans, key=lambda plan: due[plan][turn]) for turn in range(6)]
        self.assertEqual(order, ["a", "c", "b", "a", "c", "b"])
        self.assertNotEqual(rivals, agreement.schedule(plans, 50, 1000, 400, 300, 2)[1])


class Intervals(unittest.TestCase):
    def jobs(self, right):
        return [Job(r, True, 1, 0, 0) for r in right]

    def test_hold_the_truth_about_as_often_as_they_say(self):
        draw = random.Random(7)
        held = 0
        for i in range(60):
            right = [draw.random() < 0.7 for _ in range(600)]
            held += agreement.measured({"all": self.jobs(right)}, "all", seed=i)["all"][0].has(0.7)
        self.assertGreater(held, 50)

    def test_pairs_cancel_what_they_share(self):
        draw = random.Random(7)
        right = [draw.random() < 0.5 for _ in range(2000)]
        better = [r or i % 100 == 0 for i, r in enumerate(right)]
        got = agreement.measured({"all": self.jobs(right), "exact": self.jobs(better)}, "all")
        self.assertEqual(got["all"][1], Estimate(0, 0, 0))
        accuracy, gain = got["exact"]
        self.assertTrue(0 < gain.low <= gain.value <= gain.high < 0.02)
        self.assertGreater(accuracy.high - accuracy.low, 3 * (gain.high - gain.low))

    def test_a_difference_is_as_uncertain_as_both(self):
        difference = Estimate(0.5, 0.47, 0.53).less(Estimate(0.4, 0.36, 0.44))
        self.assertAlmostEqual(difference.value, 0.1)
        self.assertAlmostEqual(difference.low, 0.05)
        self.assertAlmostEqual(difference.high, 0.15)
        self.assertFalse(difference.has(0))
        self.assertTrue(Estimate(0.42, 0.39, 0.45).less(Estimate(0.4, 0.36, 0.44)).has(0))


if __name__ == "__main__":
    unittest.main()
