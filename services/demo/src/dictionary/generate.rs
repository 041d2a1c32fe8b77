//! Where the generated names and ids come from.

use chrono::{NaiveDate, NaiveDateTime};

use super::{Dish, Restaurant, User};

/// The categories of dishes. They are few and shared by all restaurants, which makes their counters hot.
pub const CATEGORIES: [&str; 12] = [
    "Выпечка",
    "Закуски",
    "Салаты",
    "Супы & бульоны",
    "Десерты 🍰",
    "Напитки",
    "Pizza",
    "Sushi / 寿司",
    "Гарниры",
    "Завтраки",
    "Burgers",
    "Соусы",
];

const GIVEN_NAMES: [&str; 10] =
    ["Ольга", "Мария", "Иван", "Ñandú 🍕", "李小龍", "O'Brien \"Bob\"", "Anna", "Тимур", "Zoë", "a#$#b"];
const SURNAMES: [&str; 9] =
    ["Котова", "Иванов", "Müller", "Ли", "García", "Петренко 🎉", "van der Berg", "Смирнова", "Õunapuu"];
const PLACES: [&str; 9] = [
    "Кофейня",
    "PLove",
    "Вкус Индии",
    "Кубдари",
    "Sushi 🍣 Bar",
    "Trattoria d'Angelo",
    "Пекарня",
    "Noodle\\House",
    "Хинкальная",
];
const STYLES: [&str; 8] =
    ["острый", "ПО-МЕКСИКАНСКИ", "с лимоном", "«домашний»", "XXL", "a#$#b", "mit Käse", "с\tтабуляцией"];
const DISHES: [&str; 12] = [
    "Круассан",
    "РОЛЛ С ТОФУ",
    "Рис",
    "Борщ",
    "Пицца 🍕",
    "Ramen ラーメン",
    "Сырник",
    "Tiramisù",
    "Хачапури",
    "Burger",
    "Плов",
    "Айран ",
];

/// Every menu has at least this many dishes, so that an order of five lines finds distinct ones.
pub(super) const SMALLEST_MENU: usize = 6;
const LARGEST_MENU: usize = 20;
/// The users and restaurants of a seed, in their first version.
pub(super) fn entries(seed: u64, users: usize, restaurants: usize) -> (Vec<User>, Vec<Restaurant>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let updated = first_update();
    let users = (0..users)
        .map(|number| User {
            id: id(seed, Kind::User, number),
            name: format!("{} {} {number}", pick(&mut random, &SURNAMES), pick(&mut random, &GIVEN_NAMES)),
            login: format!("user_{number}"),
            updated,
        })
        .collect();
    let mut dishes = 0;
    let restaurants = (0..restaurants)
        .map(|number| {
            let menu = (0..random.usize(SMALLEST_MENU..=LARGEST_MENU)).map(|_| {
                dishes += 1;
                generate_dish(seed, dishes, &mut random)
            });
            let menu = menu.collect();
            let name = format!("{} №{number}", pick(&mut random, &PLACES));
            Restaurant { id: id(seed, Kind::Restaurant, number), name, updated, menu }
        })
        .collect();
    (users, restaurants)
}

/// The version that every entry begins with: older than any generated order.
pub(super) fn first_update() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2022, 11, 19).and_then(|day| day.and_hms_opt(16, 6, 36)).unwrap_or_default()
}

/// What an id stands for; a byte of the id, so that a user and a dish never share one.
#[derive(Clone, Copy)]
enum Kind {
    User = 1,
    Restaurant = 2,
    Dish = 3,
}

/// 24 hexadecimal digits: 16 of the mixed seed, 2 of the kind, 6 of the number.
fn id(seed: u64, kind: Kind, number: usize) -> String {
    // The steps of splitmix64 are reversible, so two seeds never give the same digits.
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    format!("{mixed:016x}{:02x}{number:06x}", kind as u8)
}

fn generate_dish(seed: u64, number: usize, random: &mut fastrand::Rng) -> Dish {
    Dish {
        id: id(seed, Kind::Dish, number),
        name: format!("{} {} {number}", pick(random, &DISHES), pick(random, &STYLES)),
        price: random.u32(2..=90) * 10,
        category: pick(random, &CATEGORIES),
    }
}

fn pick(random: &mut fastrand::Rng, from: &[&'static str]) -> &'static str {
    from[random.usize(..from.len())]
}
