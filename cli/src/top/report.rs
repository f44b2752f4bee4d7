//! What `top` prints. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::metrics::Counts;
use crate::output::Text;
use crate::style::{Cell, Paint, Style};

/// The version of the JSON form: it changes only when a field goes or changes its meaning.
const JSON_VERSION: u32 = 1;

/// Price of 10,000 operations on secrets, and on certificates but for renewals, in US dollars; a region may have another.
pub(crate) const PRICE: f64 = 0.03;
/// Who quotes [`PRICE`]: an answer at Microsoft, since the price list itself could not be opened.
const PRICE_SOURCE: &str = "https://learn.microsoft.com/answers/questions/5608202";
/// When it was read there.
const PRICE_DATE: &str = "2026-11-30";

/// Seconds of a month: a twelfth of 365.25 days.
const MONTH: f64 = 365.25 / 12.0 * 86_400.0;

/// All vaults.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Top {
    version: u32,
    /// For how long the controller has counted, in seconds.
    seconds: i64,
    vaults: Vec<Vault>,
    price: Price,
}

/// What an operation costs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Price {
    /// US dollars for 10,000 operations.
    dollars_per10000: f64,
    /// `None`: the user's own.
    source: Option<&'static str>,
    date: Option<&'static str>,
}

/// One vault.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Vault {
    #[serde(rename = "vault")]
    name: String,
    /// AzureKeyVaultSecrets that name an object of it.
    objects: usize,
    calls: BTreeMap<String, u64>,
    calls_per10s: f64,
    /// Requests per 10 s that it is sent at most, now.
    budget_per10s: Option<f64>,
    throttled: u64,
    waiting: u64,
    /// At the pace so far.
    calls_per_month: f64,
    dollars_per_month: f64,
}

/// What `counts`, made in `seconds`, mean for each vault.
pub(super) fn top(
    counts: &BTreeMap<String, Counts>,
    seconds: i64,
    objects: &BTreeMap<String, usize>,
    price: Option<f64>,
) -> Top {
    let dollars = price.unwrap_or(PRICE);
    let vault = |name: &str, counts: &Counts| {
        let calls = counts.calls.values().sum();
        let per_month = per(counts.billed, seconds, MONTH);
        Vault {
            name: name.to_owned(),
            objects: objects.get(name).copied().unwrap_or_default(),
            calls: counts.calls.clone(),
            calls_per10s: per(calls, seconds, 10.0),
            budget_per10s: counts.budget,
            throttled: counts.throttled,
            waiting: counts.waiting,
            calls_per_month: per_month,
            dollars_per_month: per_month / 10_000.0 * dollars,
        }
    };
    let short = |host: &str| host.split('.').next().unwrap_or_default().to_owned();
    let counted: BTreeMap<_, _> = counts.iter().map(|(host, counts)| (short(host), counts)).collect();
    let nothing = Counts::default();
    let silent = objects
        .keys()
        .filter(|name| !counted.contains_key(*name))
        .map(|name| vault(name, &nothing));
    let mut vaults: Vec<_> = counted
        .iter()
        .map(|(name, counts)| vault(name, counts))
        .chain(silent)
        .collect();
    vaults.sort_by(|a, b| {
        b.calls_per_month
            .total_cmp(&a.calls_per_month)
            .then_with(|| a.name.cmp(&b.name))
    });
    Top {
        version: JSON_VERSION,
        seconds,
        vaults,
        price: Price {
            dollars_per10000: dollars,
            source: price.is_none().then_some(PRICE_SOURCE),
            date: price.is_none().then_some(PRICE_DATE),
        },
    }
}

/// How many there are in `time` seconds, when there were `count` in `seconds`.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn per(count: u64, seconds: i64, time: f64) -> f64 {
    count as f64 / seconds.max(1) as f64 * time
}

impl Text for Top {
    fn text(&self, style: Style) -> String {
        let heads = Cell::heads(&[
            "VAULT",
            "OBJECTS",
            "CALLS",
            "PER 10 S",
            "BUDGET",
            "WAITING",
            "429",
            "PER MONTH",
            "US$ PER MONTH",
        ]);
        let rows: Vec<_> = std::iter::once(heads)
            .chain(self.vaults.iter().map(Vault::row))
            .collect();
        let origin = match (self.price.source, self.price.date) {
            (Some(source), Some(date)) => format!("quoted at {source}, {date}"),
            _ => "your price".to_owned(),
        };
        let note = format!(
            "\nAt the pace of the last {} s, and {} US$ for 10,000 operations ({origin}).\n",
            self.seconds, self.price.dollars_per10000
        );
        style.table(0, &rows) + &style.paint(Paint::Faint, &note)
    }
}

impl Vault {
    fn row(&self) -> Vec<Cell> {
        let calls: u64 = self.calls.values().sum();
        let bad = |count: u64| Cell::new(if count > 0 { Paint::Bad } else { Paint::Plain }, count.to_string());
        vec![
            Cell::plain(&*self.name),
            Cell::plain(self.objects.to_string()),
            Cell::plain(calls.to_string()),
            Cell::plain(format!("{:.1}", self.calls_per10s)),
            Cell::plain(self.budget_per10s.map(|it| format!("{it:.0}")).unwrap_or_default()),
            Cell::plain(self.waiting.to_string()),
            bad(self.throttled),
            Cell::plain(format!("{:.0}", self.calls_per_month)),
            Cell::plain(format!("{:.2}", self.dollars_per_month)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_what_the_pace_so_far_makes_of_it_and_the_dearest_vault_stands_first() {
        // 40 requests every 30 s, for an hour, as 1,000 objects cost.
        let listed = Counts {
            calls: [("listSecrets".to_owned(), 4800)].into(),
            billed: 4800,
            budget: Some(1000.0),
            ..Counts::default()
        };
        let counts = [
            ("cheap.vault.azure.net".to_owned(), Counts::default()),
            ("kv1.vault.azure.net".to_owned(), listed),
        ];
        let objects = [("kv1".to_owned(), 1000), ("new".to_owned(), 1)].into();
        let top = top(&counts.into(), 3600, &objects, None);
        let names: Vec<_> = top.vaults.iter().map(|it| (it.name.as_str(), it.objects)).collect();
        assert_eq!(names, [("kv1", 1000), ("cheap", 0), ("new", 1)]);
        let text = top.text(Style::PLAIN);
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            row,
            ["kv1", "1000", "4800", "13.3", "1000", "0", "0", "3506400", "10.52"]
        );
        assert!(
            text.contains("0.03 US$ for 10,000 operations (quoted at https://learn.microsoft.com/"),
            "{text}"
        );
        let own = super::top(&BTreeMap::new(), 0, &objects, Some(1.0)).text(Style::PLAIN);
        assert!(
            own.ends_with("and 1 US$ for 10,000 operations (your price).\n"),
            "{own}"
        );
    }
}
