//! Reads settings by name from the environment and an optional TOML file, and collects every fault instead of
//! stopping at the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use config::{Config, ConfigError, Environment, File, FileFormat, Value, ValueKind};

/// The variable that names the TOML file.
pub const CONFIG_FILE: &str = "ORDERVAULT_CONFIG";

/// One bad setting: which, what it held, what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFault {
    /// The variable.
    pub name: String,
    /// What it held; `None` where it is not set.
    pub held: Option<String>,
    /// What it takes.
    pub takes: String,
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.held {
            Some(held) => write!(f, "{}: held {held:?}, takes {}", self.name, self.takes),
            None => write!(f, "{}: not set, takes {}", self.name, self.takes),
        }
    }
}

/// The source of settings. Each is read once, by its name; [`Settings::faults`] says what was wrong with them.
pub struct Settings {
    values: Config,
    in_file: BTreeSet<String>,
    read: BTreeSet<&'static str>,
    faults: Vec<SettingFault>,
}

impl Settings {
    /// Settings of this process: the environment over the file that `ORDERVAULT_CONFIG` names.
    #[must_use]
    pub fn of_process() -> Self {
        // A value that is not UTF-8 is read with marks in the places of what is not, which no setting but a secret takes.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect();
        Self::of(environment)
    }

    /// Settings from the given environment, which may name a file.
    #[must_use]
    pub fn of(environment: BTreeMap<String, String>) -> Self {
        let mut faults = Vec::new();
        let file = environment.get(CONFIG_FILE).filter(|path| !path.is_empty());
        let in_file = file.map_or_else(BTreeMap::new, |path| {
            read_file(Path::new(path)).unwrap_or_else(|detail| {
                let takes = format!("the path of a readable TOML file ({detail})");
                faults.push(SettingFault { name: CONFIG_FILE.to_owned(), held: Some(path.clone()), takes });
                BTreeMap::new()
            })
        });
        let names = in_file.keys().cloned().collect();
        // An empty value counts as none: compose files and charts write unset variables so.
        let environment = environment.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let environment = Environment::default().source(Some(environment));
        let mut builder = Config::builder();
        for (name, value) in in_file {
            if matches!(value.kind, ValueKind::Table(_) | ValueKind::Array(_)) {
                let held = Some("a list or a table in the file".to_owned());
                faults.push(SettingFault { name: name.to_uppercase(), held, takes: "a single value".to_owned() });
                continue;
            }
            // A lower-case name cannot fail to be a key: the file's own parser has taken it as one.
            builder = builder.set_default(name, value).unwrap_or_default();
        }
        let values = builder.add_source(environment).build().unwrap_or_default();
        Self { values, in_file: names, read: BTreeSet::from([CONFIG_FILE]), faults }
    }

    /// A setting that must be there.
    pub fn required<T>(&mut self, name: &'static str, takes: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let Some(held) = self.text(name) else {
            self.fault(name, None, takes);
            return None;
        };
        self.parsed(name, &held, takes, parse)
    }

    /// A setting with a default.
    pub fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        takes: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        match self.text(name) {
            Some(held) => self.parsed(name, &held, takes, parse),
            None => Some(default),
        }
    }

    /// A setting that may be absent: the outer `None` is a fault, the inner one means that it is not set.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.text(name) {
            Some(held) => self.parsed(name, &held, takes, parse).map(Some),
            None => Some(None),
        }
    }

    /// A secret, if it is set: never shown, whatever is wrong with it.
    pub fn secret(&mut self, name: &'static str) -> Option<String> {
        self.text(name)
    }

    /// Notes a fault that only shows when settings are seen together; `held` must not be a secret.
    pub fn fault(&mut self, name: &'static str, held: Option<&str>, takes: &str) {
        self.faults.push(SettingFault {
            name: name.to_owned(),
            held: held.map(str::to_owned),
            takes: takes.to_owned(),
        });
    }

    /// Everything that was wrong, with the names in the file that no setting has. Ask after all have been read.
    #[must_use]
    pub fn faults(self) -> Vec<SettingFault> {
        let mut faults = self.faults;
        let known: BTreeSet<String> = self.read.iter().map(|name| name.to_lowercase()).collect();
        for name in self.in_file.difference(&known) {
            let nearest = known.iter().max_by_key(|other| shared_prefix(name, other)).map(|name| name.to_uppercase());
            faults.push(SettingFault {
                name: name.to_uppercase(),
                held: Some("a value in the file".to_owned()),
                takes: format!("nothing: no setting has this name; the nearest is {}", nearest.unwrap_or_default()),
            });
        }
        faults
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.read.insert(name);
        self.values.get_string(&name.to_lowercase()).ok().filter(|value| !value.is_empty())
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        held: &str,
        takes: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(held);
        if value.is_none() {
            self.fault(name, Some(held), takes);
        }
        value
    }
}

fn read_file(path: &Path) -> Result<BTreeMap<String, Value>, String> {
    let file = File::from(path).format(FileFormat::Toml).required(true);
    // Only the first line of a complaint: those after it quote the file, and that may be a secret.
    let said = |error: ConfigError| error.to_string().lines().next().unwrap_or_default().to_owned();
    let values = Config::builder().add_source(file).build().map_err(said)?;
    let values: BTreeMap<String, Value> = values.try_deserialize().map_err(said)?;
    Ok(values.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect())
}

fn shared_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn every_fault_is_collected_with_what_was_held_and_what_is_taken() {
        let mut settings = settings(&[("PORT", "abc")]);
        assert_eq!(settings.required("PORT", "a port", |text| text.parse::<u16>().ok()), None);
        assert_eq!(settings.required("HOST", "a host name", |text| Some(text.to_owned())), None);
        let lines: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
        assert_eq!(lines, [r#"PORT: held "abc", takes a port"#, "HOST: not set, takes a host name"]);
    }

    #[test]
    fn an_empty_value_counts_as_none() {
        assert_eq!(settings(&[("PORT", "")]).or("PORT", 9092, "a port", |text| text.parse().ok()), Some(9092));
    }

    #[test]
    fn the_environment_wins_over_the_file_and_an_unknown_name_in_the_file_is_a_fault() {
        let path = std::env::temp_dir().join(format!("ordervault-settings-{}.toml", std::process::id()));
        std::fs::write(&path, "PORT = 1\nHOST = \"file\"\nHOSTT = \"x\"\n").unwrap();
        let mut settings = settings(&[(CONFIG_FILE, path.to_str().unwrap()), ("PORT", "2")]);
        assert_eq!(settings.required("PORT", "a port", |text| text.parse::<u16>().ok()), Some(2));
        assert_eq!(settings.required("HOST", "a host", |text| Some(text.to_owned())), Some("file".to_owned()));
        let faults = settings.faults();
        std::fs::remove_file(path).unwrap();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].to_string().contains("HOSTT") && faults[0].takes.ends_with("HOST"), "{}", faults[0]);
    }
}
