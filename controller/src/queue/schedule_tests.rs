use super::*;

const LOOK: Reasons = Reasons {
    look: true,
    reapply: false,
};
const NONE: Reasons = Reasons {
    look: false,
    reapply: false,
};

fn schedule(per_partition: usize, reserved_for_new: usize) -> (Schedule<u32>, Instant) {
    let limits = Limits {
        per_partition,
        reserved_for_new,
        ..Limits::default()
    };
    (Schedule::new(limits), Instant::now())
}

fn keys(schedule: &mut Schedule<u32>, now: Instant) -> Vec<u32> {
    std::iter::from_fn(|| schedule.pop(now).map(|job| job.key)).collect()
}

#[test]
fn an_object_is_queued_once_and_its_reasons_add_up() {
    let (mut queue, now) = schedule(4, 0);
    queue.add(1, "v", Lane::Refresh, LOOK, now);
    queue.add(
        1,
        "v",
        Lane::Refresh,
        Reasons {
            look: false,
            reapply: true,
        },
        now,
    );
    let job = queue.pop(now).unwrap();
    assert_eq!(
        job.reasons,
        Reasons {
            look: true,
            reapply: true
        }
    );
    assert_eq!(queue.pop(now), None);
}

#[test]
fn new_work_overtakes_ten_thousand_refreshes() {
    let (mut queue, now) = schedule(4, 1);
    for key in 0..10_000 {
        queue.add(key, "v", Lane::Refresh, LOOK, now);
    }
    assert_eq!(keys(&mut queue, now).len(), 3, "one place is kept for new work");
    queue.add(99_999, "v", Lane::New, NONE, now);
    assert_eq!(queue.pop(now).unwrap().key, 99_999);
    queue.add(9_999, "v", Lane::New, NONE, now);
    queue.done(&0, Again::Done, 0.0, now);
    assert_eq!(
        queue.pop(now).unwrap().key,
        9_999,
        "a queued refresh that turns new moves ahead"
    );
    let waiting = queue.waiting(Lane::Refresh, now + Duration::from_secs(7));
    assert_eq!((waiting.depth, waiting.oldest), (10_000 - 4, Duration::from_secs(7)));
    assert_eq!(queue.waiting(Lane::New, now), Waiting::default());
}

#[test]
fn a_vault_whose_room_is_full_delays_no_other() {
    let (mut queue, now) = schedule(2, 0);
    for key in 0..100 {
        queue.add(key, "dead", Lane::New, NONE, now);
    }
    for key in 100..104 {
        queue.add(key, "alive", Lane::New, NONE, now);
    }
    let mut running = keys(&mut queue, now);
    running.sort_unstable();
    assert_eq!(running, [0, 1, 100, 101]);
    queue.done(&100, Again::Done, 0.0, now);
    assert_eq!(queue.pop(now).unwrap().key, 102);
}

#[test]
fn one_object_is_never_worked_on_twice_at_once() {
    let (mut queue, now) = schedule(4, 0);
    queue.add(1, "v", Lane::New, NONE, now);
    queue.pop(now).unwrap();
    queue.add(1, "v", Lane::New, LOOK, now);
    assert_eq!(queue.pop(now), None);
    queue.done(&1, Again::Done, 0.0, now);
    assert_eq!(queue.pop(now).unwrap().reasons, LOOK);
    queue.done(&1, Again::Done, 0.0, now);
    assert_eq!(queue.pop(now), None);
    assert_eq!(queue.next_wakeup(), None);
}

#[test]
fn failures_back_off_and_success_forgets_them() {
    let (mut queue, mut now) = schedule(4, 0);
    queue.add(1, "v", Lane::New, NONE, now);
    let mut waits = Vec::new();
    for _ in 0..12 {
        queue.pop(now).unwrap();
        queue.done(&1, Again::Soon, 0.0, now);
        assert_eq!(queue.pop(now), None, "no hot loop");
        let at = queue.next_wakeup().unwrap();
        waits.push((at - now).as_millis());
        now = at;
    }
    assert_eq!(waits[..4], [500, 1000, 2000, 4000]);
    assert_eq!(waits[11], 120_000);
    assert!(queue.pop(now).unwrap().reasons.look);
    queue.done(&1, Again::Done, 0.0, now);
    queue.add(1, "v", Lane::Refresh, NONE, now);
    queue.pop(now).unwrap();
    queue.done(&1, Again::Soon, 0.0, now);
    assert_eq!(queue.next_wakeup().unwrap() - now, Duration::from_millis(500));
}

#[test]
fn an_edit_ends_the_wait_and_a_refresh_does_not() {
    let (mut queue, now) = schedule(4, 0);
    queue.add(1, "v", Lane::New, NONE, now);
    queue.pop(now).unwrap();
    queue.done(&1, Again::Slowly, 0.0, now);
    queue.add(1, "v", Lane::Refresh, LOOK, now);
    assert_eq!(queue.pop(now), None);
    queue.add(1, "v", Lane::New, NONE, now);
    assert_eq!(queue.pop(now).unwrap().lane, Lane::New);
    queue.done(&1, Again::Done, 0.0, now);
    assert_eq!(queue.next_wakeup(), None, "the old date is gone");
}

#[test]
fn what_waits_for_somebody_is_tried_within_five_minutes_however_often_it_failed() {
    for jitter in [0.0, 0.5, 1.0] {
        let (mut queue, mut now) = schedule(4, 0);
        queue.add(1, "v", Lane::New, NONE, now);
        for _ in 0..40 {
            queue.pop(now).unwrap();
            queue.done(&1, Again::Slowly, jitter, now);
            let at = queue.next_wakeup().unwrap();
            assert!(at - now < Duration::from_mins(5), "{:?}", at - now);
            assert!(at - now >= Duration::from_secs(40), "{:?}", at - now);
            now = at;
        }
    }
}

#[test]
fn retry_after_is_never_undercut_and_is_spread() {
    let (mut queue, now) = schedule(9, 0);
    for (key, jitter) in [(1, 0.0), (2, 1.0)] {
        queue.add(key, "v", Lane::New, NONE, now);
        queue.pop(now).unwrap();
        queue.done(&key, Again::After(Duration::from_secs(10)), jitter, now);
    }
    assert_eq!(keys(&mut queue, now + Duration::from_millis(9_999)), [0_u32; 0]);
    assert_eq!(keys(&mut queue, now + Duration::from_secs(10)), [1]);
    assert_eq!(keys(&mut queue, now + Duration::from_secs(15)), [2]);
}

#[test]
fn a_date_in_the_future_is_kept_and_does_not_delay_present_work() {
    let (mut queue, now) = schedule(4, 0);
    queue.add_at(1, "v", LOOK, now + Duration::from_secs(5), now);
    queue.add_at(1, "v", LOOK, now + Duration::from_secs(9), now);
    assert_eq!(queue.next_wakeup(), Some(now + Duration::from_secs(5)));
    queue.add(1, "v", Lane::Refresh, NONE, now);
    assert_eq!(queue.pop(now).unwrap().reasons, LOOK);
    queue.done(&1, Again::Done, 0.0, now);
    assert_eq!(keys(&mut queue, now + Duration::from_secs(10)), [0_u32; 0]);
}

#[test]
fn a_date_asked_for_during_the_work_is_the_next_work() {
    let (mut queue, now) = schedule(4, 0);
    queue.add(1, "v", Lane::New, NONE, now);
    queue.pop(now).unwrap();
    queue.add_at(1, "v", LOOK, now + Duration::from_secs(9), now);
    queue.add_at(1, "v", LOOK, now + Duration::from_secs(5), now);
    queue.done(&1, Again::Done, 0.0, now);
    let at = now + Duration::from_secs(5);
    assert_eq!(queue.next_wakeup(), Some(at));
    assert_eq!(queue.pop(at).unwrap().reasons, LOOK);
    // Back-off stands: it is for the vault's sake.
    queue.add_at(1, "v", LOOK, at + Duration::from_secs(5), at);
    queue.done(&1, Again::Slowly, 0.0, at);
    assert_eq!(queue.next_wakeup(), Some(at + Duration::from_mins(1)));
}

#[test]
fn an_object_whose_vault_was_edited_moves_to_the_new_vaults_room() {
    let (mut queue, now) = schedule(1, 0);
    queue.add(1, "a", Lane::New, NONE, now);
    queue.pop(now).unwrap();
    queue.done(&1, Again::Slowly, 0.0, now);
    queue.add(2, "a", Lane::New, NONE, now);
    queue.pop(now).unwrap();
    queue.add(1, "b", Lane::New, NONE, now);
    assert_eq!(queue.pop(now).unwrap().key, 1);
    queue.done(&1, Again::Done, 0.0, now);
    queue.done(&2, Again::Done, 0.0, now);
    assert!(queue.partitions.is_empty(), "no room is taken any more");
}

#[test]
fn a_job_knows_when_it_was_last_asked_for() {
    let (mut queue, now) = schedule(4, 0);
    let later = now + Duration::from_secs(3);
    queue.add(1, "v", Lane::New, NONE, now);
    queue.add(1, "v", Lane::New, NONE, later);
    assert_eq!(queue.pop(later).unwrap().since, later);
    queue.done(&1, Again::Later(Duration::from_secs(2)), 0.0, later);
    let due = later + Duration::from_secs(2);
    assert_eq!(queue.pop(due + Duration::from_secs(9)).unwrap().since, due);
}
