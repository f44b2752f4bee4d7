//! Tokens over hours and days, on a clock that the tests drive.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::slot::{Slot, broken, pause};
use super::{Token, TokenError};
use crate::diagnosis::Retry;

const HOUR: Duration = Duration::from_hours(1);

/// Counts exchanges; each takes a second and does what was last told.
#[derive(Clone)]
struct Entra {
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Result<Duration, Retry>>>,
}

fn entra(answer: Result<Duration, Retry>) -> (Entra, Slot) {
    let entra = Entra {
        asked: Arc::default(),
        answer: Arc::new(Mutex::new(answer)),
    };
    let asked = entra.clone();
    let slot = Slot::new(move || asked.clone().exchange());
    (entra, slot)
}

impl Entra {
    async fn exchange(self) -> Result<Token, TokenError> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let answer = *self.answer.lock().unwrap();
        answer
            .map(|lifetime| Token::new(format!("token-{number}").into(), lifetime))
            .map_err(|retry| TokenError { retry, ..broken() })
    }

    fn now_answers(&self, answer: Result<Duration, Retry>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_askers_cost_one_exchange() {
    let (entra, slot) = entra(Ok(HOUR));
    let tokens = futures::future::join_all((0..100).map(|_| slot.get())).await;
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!(entra.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_in_use_is_renewed_before_anybody_asks() {
    let (entra, slot) = entra(Ok(HOUR));
    let first = slot.get().await.unwrap();
    slot.get().await.unwrap();
    tokio::time::sleep(minutes(54)).await;
    assert_eq!(entra.asked(), 1);
    tokio::time::sleep(minutes(2)).await;
    assert_eq!(entra.asked(), 2, "renewed in the background");
    let before = Instant::now();
    let second = slot.get().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(before, Instant::now(), "nobody waited");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_uses_lapses() {
    let (entra, slot) = entra(Ok(HOUR));
    slot.get().await.unwrap();
    tokio::time::sleep(24 * HOUR).await;
    assert_eq!(entra.asked(), 1);
    assert!(slot.is_spent());
    slot.get().await.unwrap();
    assert_eq!(entra.asked(), 2);
    assert!(!slot.is_spent());
}

#[tokio::test(start_paused = true)]
async fn a_day_of_steady_use_costs_one_exchange_per_lifetime() {
    let (entra, slot) = entra(Ok(HOUR));
    for _ in 0..24 * 6 {
        slot.get().await.unwrap();
        tokio::time::sleep(minutes(10)).await;
    }
    assert_eq!(entra.asked(), 27, "24 hours in steps of 55 minutes");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_day_outlives_an_outage_of_an_hour() {
    let (entra, slot) = entra(Ok(24 * HOUR));
    slot.get().await.unwrap();
    slot.get().await.unwrap();
    entra.now_answers(Err(Retry::Soon));
    tokio::time::sleep(22 * HOUR + minutes(30)).await;
    assert!(entra.asked() > 1, "the refresh begins two hours ahead");
    entra.now_answers(Ok(24 * HOUR));
    tokio::time::sleep(minutes(60)).await;
    assert!(slot.get().await.is_ok());
    tokio::time::sleep(minutes(60)).await;
    assert!(slot.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_old_token_serves_while_refreshing_fails_and_not_a_moment_longer() {
    let (entra, slot) = entra(Ok(HOUR));
    let first = slot.get().await.unwrap();
    entra.now_answers(Err(Retry::Slowly));
    tokio::time::advance(HOUR.checked_sub(Duration::from_secs(200)).unwrap()).await;
    for _ in 0..10 {
        assert!(Arc::ptr_eq(&first, &slot.get().await.unwrap()));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(entra.asked() <= 4, "failures are spaced: {}", entra.asked());
    tokio::time::advance(Duration::from_secs(170)).await;
    assert!(slot.get().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_for_a_while_then_heals() {
    let (entra, slot) = entra(Err(Retry::Slowly));
    for _ in 0..50 {
        assert!(slot.get().await.is_err());
    }
    assert_eq!(entra.asked(), 1);
    entra.now_answers(Ok(HOUR));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(entra.asked(), 1, "what somebody must change is not tried unasked");
    assert!(slot.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_by_itself_is_worked_on_unasked_for_two_minutes() {
    let (entra, slot) = entra(Err(Retry::Soon));
    assert!(slot.get().await.is_err());
    tokio::time::sleep(minutes(1)).await;
    entra.now_answers(Ok(HOUR));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let asked = entra.asked();
    assert!((5..=10).contains(&asked), "growing pauses: {asked}");
    assert!(slot.get().await.is_ok());
    assert_eq!(entra.asked(), asked, "it was there already");

    let (entra, slot) = self::entra(Err(Retry::Soon));
    assert!(slot.get().await.is_err());
    tokio::time::sleep(minutes(3)).await;
    let asked = entra.asked();
    tokio::time::sleep(HOUR).await;
    assert_eq!(entra.asked(), asked, "not for ever");
}

#[tokio::test(start_paused = true)]
async fn of_a_wait_that_was_asked_for_later_askers_are_told_what_is_left() {
    let (entra, slot) = entra(Err(Retry::After(minutes(1))));
    let told = async || slot.get().await.unwrap_err().retry;
    assert_eq!(told().await, Retry::After(minutes(1)));
    tokio::time::advance(Duration::from_secs(50)).await;
    let later = told().await;
    let Retry::After(left) = later else {
        panic!("{later:?}");
    };
    assert!(left <= Duration::from_secs(10), "{left:?}");
    assert_eq!(entra.asked(), 1);
    entra.now_answers(Ok(HOUR));
    tokio::time::sleep(left).await;
    assert!(slot.get().await.is_ok(), "after it Entra is asked");
}

#[test]
fn pauses_grow_to_a_limit_and_respect_what_is_asked_for() {
    let pauses = |retry| (1..=7).map(|times| pause(times, retry).as_secs()).collect::<Vec<_>>();
    assert_eq!(pauses(Retry::Soon), [1, 2, 4, 8, 10, 10, 10]);
    assert_eq!(pauses(Retry::Slowly), [5, 10, 20, 30, 30, 30, 30]);
    let after = Retry::After(Duration::from_secs(7));
    assert_eq!(pauses(after), [7, 7, 7, 8, 10, 10, 10]);
    assert_eq!(pause(u32::MAX, Retry::Soon).as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_replaced_once() {
    let (entra, slot) = entra(Ok(HOUR));
    let first = slot.get().await.unwrap();
    slot.reject(&first);
    let second = slot.get().await.unwrap();
    slot.reject(&first);
    let third = slot.get().await.unwrap();
    assert!(
        Arc::ptr_eq(&second, &third),
        "a late rejection does not cost the new token"
    );
    assert_eq!(entra.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_takes_no_token_costs_one_a_minute() {
    let (entra, slot) = entra(Ok(HOUR));
    for _ in 0..120 {
        let token = slot.get().await.unwrap();
        slot.reject(&token);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((2..=4).contains(&entra.asked()), "{}", entra.asked());
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_panicked_does_not_stand_in_the_way_of_the_next() {
    let asked = AtomicUsize::new(0);
    let slot = Slot::new(move || {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!first, "a bug");
            Ok(Token::new("token".into(), HOUR))
        }
    });
    assert!(slot.get().await.is_err());
    assert!(slot.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_asker_that_gives_up_does_not_take_the_token_from_the_others() {
    let (entra, slot) = entra(Ok(HOUR));
    assert!(
        tokio::time::timeout(Duration::from_millis(10), slot.get())
            .await
            .is_err()
    );
    assert!(slot.get().await.is_ok());
    assert_eq!(entra.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_place_drops_its_token_and_asks_for_no_other() {
    let (entra, slot) = entra(Ok(HOUR));
    let token = slot.get().await.unwrap();
    slot.get().await.unwrap();
    slot.close();
    assert_eq!(Arc::strong_count(&token), 1, "nobody else holds it");
    assert!(slot.get().await.is_err());
    tokio::time::sleep(24 * HOUR).await;
    assert_eq!(entra.asked(), 1, "it is not renewed, though it was used");
    assert!(slot.is_spent());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_arrives_after_its_place_was_closed_is_given_to_nobody() {
    let (entra, slot) = entra(Ok(HOUR));
    let close = async {
        while entra.asked() == 0 {
            tokio::task::yield_now().await;
        }
        slot.close();
    };
    let (outcome, ()) = tokio::join!(slot.get(), close);
    assert!(outcome.is_err());
    tokio::time::sleep(24 * HOUR).await;
    assert_eq!(entra.asked(), 1);
}
