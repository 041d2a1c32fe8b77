use super::*;
use crate::offsets::Ago;

fn standing(committed: Option<i64>, low: i64, high: i64) -> Standing {
    Standing { committed, low, high, first_at: None }
}

/// Current, target, clamped, effect and records of one partition.
fn drawn(target: &Target, standing: Standing) -> (i64, i64, bool, Effect, i64) {
    let plan = Plan::draw(target, &BTreeMap::from([(0, standing)]));
    let moved = &plan.partitions[0];
    (moved.current, moved.target, moved.clamped, moved.effect, moved.records)
}

fn hour() -> Target {
    Target::Duration(Ago::read("PT1H").unwrap())
}

#[test]
fn the_ends_are_targets_that_are_never_clamped() {
    let here = standing(Some(50), 10, 100);
    assert_eq!(drawn(&Target::Earliest, here), (50, 10, false, Effect::Replay, 40));
    assert_eq!(drawn(&Target::Latest, here), (50, 100, false, Effect::Skip, 50));
    assert_eq!(drawn(&Target::Earliest, standing(None, 10, 100)), (10, 10, false, Effect::None, 0));
    assert_eq!(drawn(&Target::Latest, standing(Some(100), 10, 100)), (100, 100, false, Effect::None, 0));
}

#[test]
fn a_commit_that_the_broker_has_no_records_for_counts_as_the_begin() {
    assert_eq!(drawn(&Target::ShiftBy(0), standing(None, 10, 100)), (10, 10, false, Effect::None, 0));
    assert_eq!(drawn(&Target::ShiftBy(0), standing(Some(9), 10, 100)), (10, 10, false, Effect::None, 0));
    assert_eq!(drawn(&Target::ShiftBy(0), standing(Some(101), 10, 100)), (10, 10, false, Effect::None, 0));
    assert_eq!(drawn(&Target::ShiftBy(0), standing(Some(10), 10, 100)), (10, 10, false, Effect::None, 0));
    assert_eq!(drawn(&Target::ShiftBy(0), standing(Some(100), 10, 100)), (100, 100, false, Effect::None, 0));
}

#[test]
fn a_time_is_the_first_offset_at_or_after_it_and_the_end_where_there_is_none() {
    let found = Standing { first_at: Some(30), ..standing(Some(50), 10, 100) };
    for target in [hour(), Target::Datetime(DateTime::UNIX_EPOCH)] {
        assert_eq!(drawn(&target, found), (50, 30, false, Effect::Replay, 20));
        assert_eq!(drawn(&target, standing(Some(50), 10, 100)), (50, 100, false, Effect::Skip, 50));
    }
}

#[test]
fn what_lies_outside_is_clamped_and_says_so() {
    let here = standing(Some(50), 10, 100);
    let to = |offset| Target::Offsets(BTreeMap::from([(0, offset)]));
    assert_eq!(drawn(&to(10), here), (50, 10, false, Effect::Replay, 40));
    assert_eq!(drawn(&to(9), here), (50, 10, true, Effect::Replay, 40));
    assert_eq!(drawn(&to(100), here), (50, 100, false, Effect::Skip, 50));
    assert_eq!(drawn(&to(101), here), (50, 100, true, Effect::Skip, 50));
    assert_eq!(drawn(&Target::ShiftBy(-40), here), (50, 10, false, Effect::Replay, 40));
    assert_eq!(drawn(&Target::ShiftBy(-41), here), (50, 10, true, Effect::Replay, 40));
    assert_eq!(drawn(&Target::ShiftBy(i64::MIN), here), (50, 10, true, Effect::Replay, 40));
    assert_eq!(drawn(&Target::ShiftBy(i64::MAX), here), (50, 100, true, Effect::Skip, 50));
    assert_eq!(drawn(&to(5), standing(None, 0, 0)), (0, 0, true, Effect::None, 0));
}

#[test]
fn whatever_is_asked_the_plan_holds_together() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..20_000 {
        let low = random.i64(0..1_000);
        let high = random.i64(low..=low + 1_000);
        let any = random.i64(-10..2_500);
        let committed = random.bool().then_some(any.max(0));
        let first_at = (low < high && random.bool()).then(|| random.i64(low..high.max(low + 1)));
        let here = Standing { committed, low, high, first_at };
        let target = match random.u8(0..6) {
            0 => Target::Earliest,
            1 => Target::Latest,
            2 => hour(),
            3 => Target::ShiftBy(random.i64(..)),
            4 => Target::ShiftBy(any - 1_000),
            _ => Target::Offsets(BTreeMap::from([(0, any.max(0))])),
        };
        let (current, to, clamped, effect, records) = drawn(&target, here);
        let context = format!("{target:?} {here:?}");
        assert!((low..=high).contains(&current) && (low..=high).contains(&to), "{context}");
        assert!(records >= 0 && here.lag() >= 0, "{context}");
        let expected = match effect {
            Effect::Replay => current - records,
            Effect::Skip => current + records,
            Effect::None => current,
        };
        assert_eq!((to, records == 0), (expected, effect == Effect::None), "{context}");
        let clamps = match &target {
            Target::Earliest | Target::Latest | Target::Datetime(_) | Target::Duration(_) => false,
            Target::ShiftBy(by) => i128::from(current) + i128::from(*by) != i128::from(to),
            Target::Offsets(offsets) => offsets[&0] != to,
        };
        assert_eq!(clamped, clamps, "{context}");
        assert!(!clamped || to == low || to == high, "{context}");
    }
}

#[test]
fn a_plan_skips_where_one_of_its_partitions_does() {
    let to = |first, second| Target::Offsets(BTreeMap::from([(0, first), (1, second)]));
    let here = BTreeMap::from([(0, standing(Some(5), 0, 9)), (1, standing(Some(5), 0, 9))]);
    assert!(!Plan::draw(&to(5, 0), &here).skips());
    assert!(Plan::draw(&to(0, 6), &here).skips());
}

#[test]
fn the_tag_is_quoted_and_changes_with_what_would_be_done_and_with_nothing_else() {
    let tag = |target: &Target, standing: Standing| Plan::draw(target, &BTreeMap::from([(0, standing)])).etag();
    let (here, to) = (standing(Some(5), 0, 9), |offset| Target::Offsets(BTreeMap::from([(0, offset)])));
    let first = tag(&to(3), here);
    assert_eq!(first, "\"41689fb9a3eb50b089c89965b93a8c6b\"", "the same in every release");
    assert_eq!(first, tag(&Target::ShiftBy(-2), here), "another way to say the same");
    assert_eq!(first, tag(&to(3), standing(Some(5), 1, 10)), "the ends have moved");
    let mut timed = Plan::draw(&to(3), &BTreeMap::from([(0, here)]));
    timed.partitions[0].first_record_time = Some(DateTime::UNIX_EPOCH);
    assert_eq!(first, timed.etag());
    let others = [
        tag(&to(4), here),
        tag(&to(3), standing(Some(6), 0, 9)),
        tag(&to(0), standing(Some(5), 3, 9)),
        Plan::draw(&to(3), &BTreeMap::from([(1, standing(Some(3), 0, 9))])).etag(),
    ];
    let different: BTreeSet<&String> = others.iter().chain([&first]).collect();
    assert_eq!(different.len(), 5, "{different:?}");
}

#[test]
fn partitions_are_those_chosen_else_those_named_else_all() {
    let known = BTreeSet::from([0, 1, 2]);
    let chosen = |target: &Target, chosen: Option<&[i32]>| {
        choose(target, chosen.map(|ids| ids.iter().copied().collect()).as_ref(), "orders", &known)
    };
    let offsets = Target::Offsets(BTreeMap::from([(0, 1), (2, 1)]));
    assert_eq!(chosen(&Target::Latest, None), Ok(known.clone()));
    assert_eq!(chosen(&Target::Latest, Some(&[1, 1])), Ok(BTreeSet::from([1])));
    assert_eq!(chosen(&offsets, None), Ok(BTreeSet::from([0, 2])));
    assert_eq!(chosen(&offsets, Some(&[2])), Ok(BTreeSet::from([2])));
    let said = |answer: Result<BTreeSet<i32>, Refusal>| answer.unwrap_err().to_string();
    assert_eq!(said(chosen(&Target::Latest, Some(&[1, 7, -1]))), "the topic orders has no partition -1, 7");
    let beyond = Target::Offsets(BTreeMap::from([(3, 1)]));
    assert_eq!(said(chosen(&beyond, None)), "the topic orders has no partition 3");
    assert_eq!(said(chosen(&offsets, Some(&[1, 2]))), "`partitions` names 1, for which `offsets` has no offset");
    assert_eq!(chosen(&Target::Latest, Some(&[])), Err(Refusal::NoPartitions));
}
