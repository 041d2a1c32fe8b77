//! Files: what other programs read is what stands in the tables.

use tokio::process::Command;

use super::scene::Scene;

const PATH: &str = "/api/v1/user-product-counters?sort=id&fields=id,product_name";

const NAMES: [&str; 12] = [
    "plain",
    "with, comma",
    "with; semicolon",
    "with \"quotes\"",
    "two\nlines",
    "two\r\nlines",
    "emoji 🍕 and ё",
    "=cmd()|' /C calc'!A0",
    "+1",
    "-1+2",
    "@SUM(A1)",
    "\\.",
];

/// Reads CSV in the most obvious way that there is, per RFC 4180: lines end with CR LF, and nothing else does.
pub fn read(csv: &str, delimiter: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut rest = csv.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '"' if quoted && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => quoted = !quoted,
            other if quoted => field.push(other),
            '\r' => {
                assert_eq!(rest.next(), Some('\n'), "a carriage return alone");
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            '\n' => panic!("a line feed alone"),
            other if other == delimiter => row.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    assert!(row.is_empty() && field.is_empty() && !quoted, "the last line has no end");
    rows
}

async fn scene(name: &str) -> Scene {
    let scene = Scene::new(name).await;
    for name in NAMES {
        sqlx::query(
            "insert into cdm.user_product_counters (user_id, product_id, product_name, order_cnt) \
             values (gen_random_uuid(), gen_random_uuid(), $1, 1)",
        )
        .bind(name)
        .execute(&scene.stage.pool)
        .await
        .unwrap();
    }
    scene
}

/// The column of names.
fn names(csv: &str, delimiter: char) -> Vec<String> {
    let rows = read(csv, delimiter);
    assert_eq!(rows[0], ["id", "product_name"]);
    rows[1..].iter().map(|row| row[1].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_through_csv_as_they_are_or_kept_from_being_formulas() {
    let scene = scene("csv").await;
    let answer = scene.get(&format!("{PATH}&format=csv&escape_formulas=false")).await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    assert_eq!(names(&answer.text().await.unwrap(), ','), NAMES);

    let escaped = scene.get(&format!("{PATH}&format=csv")).await.text().await.unwrap();
    for (name, held) in NAMES.iter().zip(names(&escaped, ',')) {
        let is_formula = name.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        assert_eq!(held, if is_formula { format!("'{name}") } else { (*name).to_owned() });
    }

    let for_excel = format!("{PATH}&format=csv&delimiter=semicolon&bom=true&escape_formulas=false");
    let for_excel = scene.get(&for_excel).await.text().await.unwrap();
    assert_eq!(names(for_excel.strip_prefix('\u{feff}').unwrap(), ';'), NAMES);
    let tabs = scene.get(&format!("{PATH}&format=csv&delimiter=tab&escape_formulas=false")).await;
    assert_eq!(names(&tabs.text().await.unwrap(), '\t'), NAMES);
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_csv_reads_what_stands_in_the_table() {
    let scene = scene("python_csv").await;
    let program = "import csv, io, json, sys, urllib.request\n\
        text = io.TextIOWrapper(urllib.request.urlopen(sys.argv[1]), 'utf-8', newline='')\n\
        print(json.dumps([row['product_name'] for row in csv.DictReader(text, strict=True)]))";
    let url = format!("{}{PATH}&format=csv&escape_formulas=false", scene.cdm.url);
    let ran = Command::new("python3").args(["-c", program, &url]).output().await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let read: Vec<String> = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(read, NAMES);
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs DuckDB, which tools/checkers installs"]
async fn duckdb_reads_what_stands_in_the_table() {
    let scene = scene("duckdb").await;
    let program = "import duckdb, json, sys, urllib.request\n\
        names = []\n\
        for form, reader in (('csv', 'read_csv'), ('ndjson', 'read_json')):\n\
        \x20   file, url = f'{sys.argv[1]}.{form}', f'{sys.argv[2]}&format={form}'\n\
        \x20   urllib.request.urlretrieve(url + ('&escape_formulas=false' if form == 'csv' else ''), file)\n\
        \x20   rows = duckdb.execute(f\"select product_name from {reader}('{file}') order by id\").fetchall()\n\
        \x20   names.append([name for name, in rows])\n\
        print(json.dumps(names))";
    let folder = std::env::temp_dir().join(&scene.stage.name);
    std::fs::create_dir(&folder).unwrap();
    let url = format!("{}{PATH}", scene.cdm.url);
    let mut python = Command::new("analysts-python");
    let ran = python.args(["-c", program]).arg(folder.join("names")).arg(&url).output().await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let read: Vec<Vec<String>> = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(read, [NAMES, NAMES]);
    std::fs::remove_dir_all(folder).unwrap();
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_the_one_that_the_client_takes_and_files_come_compressed_to_whoever_takes_that() {
    let scene = scene("accept").await;
    for (accept, kind) in [
        ("text/csv", "text/csv; charset=utf-8; header=present"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/html, */*;q=0.1", "application/json"),
    ] {
        let request = scene.client.get(format!("{}{PATH}", scene.cdm.url)).header("accept", accept);
        assert_eq!(request.send().await.unwrap().headers()["content-type"], kind, "{accept}");
    }
    let refused =
        scene.client.get(format!("{}{PATH}", scene.cdm.url)).header("accept", "text/html").send().await.unwrap();
    assert_eq!(refused.status(), 406);
    for coding in ["gzip", "zstd"] {
        let url = format!("{}{PATH}&format=csv", scene.cdm.url);
        let answer = scene.client.get(url).header("accept-encoding", coding).send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], coding);
        assert!(answer.headers()["etag"].to_str().unwrap().starts_with("W/"));
        let magic: &[u8] = if coding == "gzip" { &[0x1f, 0x8b] } else { &[0x28, 0xb5, 0x2f, 0xfd] };
        assert!(answer.bytes().await.unwrap().starts_with(magic), "{coding}");
    }
    scene.tear_down().await;
}
